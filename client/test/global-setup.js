import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const client = fileURLToPath(new URL('..', import.meta.url))

// Builds the package, and the server unless BITJANG_BIN names one.
export default function globalSetup() {
  execFileSync(process.execPath, ['build.js'], { cwd: client, stdio: 'inherit' })
  if (process.env.BITJANG_BIN) return
  const dir = mkdtempSync(join(tmpdir(), 'bitjang-client-'))
  const binary = join(dir, 'bitjang')
  execFileSync('go', ['build', '-o', binary, './cmd/bitjang'], { cwd: join(client, '..'), stdio: 'inherit', env: { ...process.env, CGO_ENABLED: '0' } })
  process.env.BITJANG_BIN = binary // workers inherit it
  return () => rmSync(dir, { recursive: true, force: true })
}
