// A server-side renderer, as Next.js and its kind are: a page is put together from
// parts that fetch in parallel, each on behalf of the browser that asked. Plain
// Node, so that nothing hides what matters:
//
//   - the browser's cookies, its User-Agent and its address are passed on, or the
//     session would seem to move to this server;
//   - a part that is refused has the tokens refreshed, once for the whole page;
//   - the new cookies go back to the browser, before the page.
//
// With ?parts=alone each part refreshes for itself, as frameworks do whose layouts
// know nothing of each other. That is wasteful, and logs nobody out either.
//
//   BITJANG_ISSUER=http://localhost:8080 PORT=3000 node server.js
//
// Bitjang and this server have to be one site for the browser (the cookies are for
// one host), and Bitjang has to believe this server about addresses
// (BITJANG_TRUSTED_PROXIES).
import { createServer } from 'node:http'

const { BITJANG_ISSUER = 'http://localhost:8080', PORT = 3000 } = process.env

class Visit {
  constructor(req, res) {
    this.res = res
    this.headers = { 'user-agent': req.headers['user-agent'] ?? '', 'x-forwarded-for': req.headers['x-forwarded-for'] ?? req.socket.remoteAddress }
    this.cookies = new Map((req.headers.cookie ?? '').split('; ').filter(Boolean).map((c) => [c.slice(0, c.indexOf('=')), c.slice(c.indexOf('=') + 1)]))
  }

  request(path, init = {}) {
    const cookie = [...this.cookies].map((c) => c.join('=')).join('; ')
    return fetch(BITJANG_ISSUER + path, { ...init, headers: { ...this.headers, cookie } })
  }

  // get asks for something, with new tokens if it has to.
  async get(path, alone) {
    const answer = await this.request(path)
    if (answer.status !== 401) return answer
    if (alone) await this.refresh()
    else await (this.refreshing ??= this.refresh())
    return this.request(path)
  }

  async refresh() {
    // 409 says that another request of this browser was faster: it has the new
    // cookies by now, or will in a moment, and this page is made with the old ones.
    const answer = await this.request('/v1/refresh', { method: 'POST' })
    for (const line of answer.headers.getSetCookie()) {
      this.res.appendHeader('set-cookie', line)
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      this.cookies.set(name, value)
    }
  }
}

const parts = { me: '/v1/me', devices: '/v1/sessions', activity: '/v1/activity?limit=3' }

createServer(async (req, res) => {
  const { pathname, searchParams } = new URL(req.url, 'http://localhost')
  if (pathname !== '/') return res.writeHead(pathname === '/healthz' ? 200 : 404).end()
  const visit = new Visit(req, res)
  const answers = await Promise.all(Object.entries(parts).map(async ([name, path]) => {
    const answer = await visit.get(path, searchParams.get('parts') === 'alone')
    return [name, answer.ok ? await answer.json() : answer.status]
  }))
  const page = Object.fromEntries(answers)
  if (typeof page.me === 'number') return res.writeHead(page.me, { 'content-type': 'application/json' }).end(JSON.stringify(page))
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'private, no-store' })
  res.end(`<!doctype html><title>Orders</title><p>${page.me.email.replace(/[&<]/g, (c) => `&#${c.charCodeAt(0)};`)} on ${page.devices.sessions?.length} devices</p>`)
}).listen(PORT, '127.0.0.1')
