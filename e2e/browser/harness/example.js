import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { registerClient } from './application.js'
import { freePort } from './server.js'

const run = promisify(execFile)

// startExample registers a client and runs examples/NAME as its README says.
export async function startExample(bitjang, name, flags) {
  const dir = fileURLToPath(new URL(`../../../examples/${name}/`, import.meta.url))
  const written = (file) => statSync(dir + file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (written('node_modules/.package-lock.json') <= written('package-lock.json')) {
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: dir })
  }
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  const { id } = await registerClient(bitjang, name, ['--redirect-uri', url, '--logout-uri', url, ...flags])
  const child = spawn('node', ['server.js'], { cwd: dir, stdio: 'inherit', env: { PATH: process.env.PATH, PORT: port, BITJANG_ISSUER: bitjang.url, CLIENT_ID: id } })
  const exit = once(child, 'exit')
  const last = () => child.kill('SIGKILL')
  process.once('exit', last)
  for (const deadline = Date.now() + 30_000; !await fetch(url).then((r) => r.ok, () => false);) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error(`examples/${name} does not answer`)
    await sleep(50)
  }
  const stop = async () => {
    child.kill('SIGKILL')
    await exit
    process.removeListener('exit', last)
  }
  return { url, id, stop }
}
