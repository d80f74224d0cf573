import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const patience = 30_000

// startBitjang runs the real binary on a free port and an empty data directory.
// env adds to its settings or replaces them; undefined takes one away.
export async function startBitjang(env = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'bitjang-data-'))
  const port = await freePort()
  const url = `http://localhost:${port}`
  const settings = {
    BITJANG_LISTEN: `127.0.0.1:${port}`,
    BITJANG_ISSUER: url,
    BITJANG_DATA_DIR: dir,
    BITJANG_VERIFY_EMAIL: 'required',
    BITJANG_ACCESS_TTL: '2s', // so that every journey refreshes many times
    BITJANG_PASSWORD_MEMORY: '8192',
    BITJANG_PASSWORD_TIME: '1',
    BITJANG_RATE_LIMITS: 'off', // hundreds of people come from one address
    ...env,
  }
  // A developer's own settings are none of the tests'.
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('BITJANG_'))
  const child = spawn(process.env.BITJANG_BIN, ['serve'], {
    env: { ...Object.fromEntries(clean), ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  const keep = (chunk) => { log = (log + chunk).slice(-200_000) }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let ended = null
  const exit = once(child, 'exit').then(([code, signal]) => { ended = signal ?? code })
  const last = () => child.kill('SIGKILL') // the worker ends without a chance to stop it
  process.once('exit', last)

  const stop = async () => {
    if (ended === null) child.kill('SIGTERM')
    await Promise.race([exit, sleep(5_000, undefined, { ref: false })])
    if (ended === null) child.kill('SIGKILL')
    await exit
    process.removeListener('exit', last)
    await rm(dir, { recursive: true, force: true })
  }

  for (const deadline = Date.now() + patience; ;) {
    if (ended !== null) break
    try {
      if ((await fetch(`${url}/readyz`)).ok) return { url, port, dir, stop, log: () => log }
    } catch { /* it does not listen yet */ }
    if (Date.now() > deadline) break
    await sleep(50)
  }
  await stop()
  throw new Error(`bitjang is not ready (ended: ${ended}):\n${log}`)
}

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
