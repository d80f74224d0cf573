import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as forward } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))

export const person = { identifier: 'minji@example.com', password: 'plain-orchid-71-harbour' }

// startStage is Bitjang behind a proxy on one origin, which also has a page for the
// client, and an API of its own. The proxy does to requests what `fault` says of them:
//
//   'drop'   it never arrives
//   'lose'   it arrives, and its answer is lost
//   503      that is the answer
//   { wait } milliseconds until it goes on
export async function startStage(env = {}) {
  const stage = { fault: () => undefined, refreshing: 0, most: 0, seen: [], api: {} }
  const proxy = createServer((req, res) => serve(stage, req, res)).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  stage.url = `http://localhost:${proxy.address().port}`
  const dir = await mkdtemp(join(tmpdir(), 'bitjang-stage-'))
  stage.backend = await freePort()
  const settings = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BITJANG_'))),
    BITJANG_LISTEN: `127.0.0.1:${stage.backend}`, BITJANG_ISSUER: stage.url, BITJANG_DATA_DIR: dir, BITJANG_TRUSTED_PROXIES: '127.0.0.0/8',
    BITJANG_ACCESS_TTL: '3s', BITJANG_PASSWORD_MEMORY: '8192', BITJANG_PASSWORD_TIME: '1', BITJANG_RATE_LIMITS: 'off', BITJANG_LOG_LEVEL: 'error', ...env,
  }
  let child
  const last = () => child?.kill('SIGKILL') // the worker ends without a chance to stop it
  process.once('exit', last)
  stage.start = async () => {
    child = spawn(process.env.BITJANG_BIN, ['serve'], { env: settings, stdio: ['ignore', 'ignore', 'inherit'] })
    for (const until = Date.now() + 30_000; Date.now() < until; await sleep(20)) {
      if (await fetch(`http://127.0.0.1:${stage.backend}/readyz`).then((r) => r.ok, () => false)) return
    }
    throw new Error('bitjang is not ready')
  }
  stage.kill = async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  stage.stop = async () => {
    await stage.kill()
    process.removeListener('exit', last)
    proxy.closeAllConnections()
    proxy.close()
    await rm(dir, { recursive: true, force: true })
  }
  stage.post = (path, body, headers = {}) => fetch(stage.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body),
  })
  await stage.start()
  await stage.post('/v1/signup', { email: person.identifier, password: person.password })
  return stage
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

async function serve(stage, req, res) {
  const { pathname } = new URL(req.url, 'http://localhost')
  if (pathname === '/') {
    res.setHeader('content-type', 'text/html').end('<!doctype html><title>Stage</title>')
    return
  }
  if (pathname.startsWith('/dist/')) {
    res.setHeader('content-type', 'text/javascript')
    createReadStream(dist + pathname.slice(6)).pipe(res)
    return
  }
  const note = { method: req.method, path: pathname, headers: req.headers, status: 0 }
  stage.seen.push(note)
  res.on('finish', () => { note.status = res.statusCode })
  if (stage.api[pathname]) {
    stage.api[pathname](req, res)
    return
  }
  if (pathname === '/v1/refresh') {
    stage.most = Math.max(stage.most, ++stage.refreshing)
    res.on('close', () => stage.refreshing--)
  }
  const fault = stage.fault(note)
  note.fault = fault
  if (fault === 'drop') return req.socket.destroy()
  if (typeof fault === 'number') return res.writeHead(fault, { 'content-type': 'text/plain' }).end('the proxy says so')
  if (fault?.wait) await sleep(fault.wait)
  pass(stage, req, res, fault === 'lose')
}

function pass(stage, req, res, lose) {
  const out = forward({ host: '127.0.0.1', port: stage.backend, method: req.method, path: req.url, headers: { ...req.headers, 'x-forwarded-for': '203.0.113.7' } }, (answer) => {
    if (lose) {
      answer.resume()
      answer.on('end', () => req.socket.destroy())
      return
    }
    res.writeHead(answer.statusCode, answer.headers)
    answer.pipe(res)
    answer.on('error', () => res.destroy())
  })
  out.on('error', () => (res.headersSent ? res.destroy() : res.writeHead(502).end()))
  req.pipe(out)
}
