import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { promisify } from 'node:util'

const run = promisify(execFile)
const random = () => randomBytes(32).toString('base64url')
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)

// registerClient is "bitjang client add".
export async function registerClient(bitjang, name, flags) {
  const { stdout } = await run(process.env.BITJANG_BIN, ['client', 'add', name, ...flags],
    { env: { PATH: process.env.PATH, BITJANG_DATA_DIR: bitjang.dir, BITJANG_ISSUER: bitjang.url } })
  return { id: /client id\s+(\S+)/.exec(stdout)[1], secret: /(bjs_\S+)/.exec(stdout)?.[1] ?? '' }
}

// startApplication registers an application with Bitjang and serves it from
// another site: it logs people in by an authorization code with PKCE, and keeps
// what it was given in memory. seen are the requests that it got.
export async function startApplication(bitjang, name, flags = []) {
  const seen = []
  const pending = new Map()
  const app = { name, seen, tokens: null, told: [] }
  const handlers = {
    '/start': (url) => {
      const state = random(), nonce = random(), verifier = random()
      pending.set(state, { nonce, verifier })
      return redirect(bitjang.url + '/oauth2/authorize', {
        response_type: 'code', client_id: app.id, redirect_uri: app.url + '/callback', scope: url.searchParams.get('scope') ?? 'openid email',
        state, nonce, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
        ...Object.fromEntries([...url.searchParams].filter(([k]) => k !== 'scope')),
      })
    },
    '/callback': async (url) => {
      const { code, state, iss, error } = Object.fromEntries(url.searchParams)
      const asked = pending.get(state)
      if (!asked || iss !== bitjang.url) return page('error', 'not an answer to my question')
      pending.delete(state)
      if (error) return page('error', error)
      app.tokens = await post('/oauth2/token', { grant_type: 'authorization_code', code, redirect_uri: app.url + '/callback', code_verifier: asked.verifier })
      const id = JSON.parse(Buffer.from(app.tokens.id_token.split('.')[1], 'base64url'))
      if (id.nonce !== asked.nonce || id.aud !== app.id) return page('error', 'not the ID token I asked for')
      const me = await fetch(bitjang.url + '/oauth2/userinfo', { headers: { authorization: `Bearer ${app.tokens.access_token}` } })
      return page('who', (await me.json()).email)
    },
    '/out': () => redirect(bitjang.url + '/oauth2/logout', { id_token_hint: app.tokens.id_token, post_logout_redirect_uri: app.url + '/bye', state: 's-1' }),
    '/bye': (url) => page('bye', url.searchParams.get('state')),
  }
  const post = async (path, fields) => {
    const answer = await fetch(bitjang.url + path, { method: 'POST', body: new URLSearchParams({ client_id: app.id, client_secret: app.secret, ...fields }) })
    return answer.json()
  }
  app.refresh = () => post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: app.tokens.refresh_token })

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1')
    seen.push({ method: request.method, path: url.pathname, search: url.search, headers: request.headers })
    if (request.method === 'POST' && url.pathname === '/told') {
      let body = ''
      for await (const chunk of request) body += chunk
      app.told.push(new URLSearchParams(body).get('logout_token'))
      response.writeHead(200).end()
      return
    }
    const answer = await handlers[url.pathname]?.(url)
    if (!answer) response.writeHead(url.pathname === '/favicon.ico' ? 204 : 404).end()
    else if (answer.location) response.writeHead(302, { location: answer.location }).end()
    else response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(answer.body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  app.url = `http://127.0.0.1:${server.address().port}`
  app.stop = () => { server.closeAllConnections(); server.close() }

  Object.assign(app, await registerClient(bitjang, name, ['--redirect-uri', `${app.url}/callback`,
    '--logout-uri', `${app.url}/bye`, '--backchannel-logout-uri', `${app.url}/told`, ...flags]))
  return app
}

function redirect(to, query) { return { location: `${to}?${new URLSearchParams(query)}` } }

function page(id, text) { return { body: `<!doctype html><html lang="en"><title>Application</title><p id="${id}">${escape(text)}</p>` } }
