// A server that renders pages for browsers which are logged in by Bitjang's cookies,
// in the manner of Next.js, Nuxt or SvelteKit: one page is made of several parts,
// each of which fetches for itself and knows nothing of the others. It needs no
// library.
//
//   BITJANG_ISSUER=http://localhost:8080 ORDERS_URL=http://127.0.0.1:4000/orders PORT=3000 npm start
import { createServer } from 'node:http'

const { BITJANG_ISSUER = 'http://localhost:8080', ORDERS_URL, PORT = 3000 } = process.env
const accessCookie = '__Host-bitjang_at'
const passedOn = ['cookie', 'user-agent', 'accept-language', 'sec-ch-ua', 'sec-ch-ua-mobile', 'sec-ch-ua-platform']
const cookie = (lines, name) => new RegExp(`(?:^|; ?)${name}=([^;]*)`, 'm').exec(lines)?.[1]

// Later says that neither "logged in" nor "logged out" is known: nothing is to be
// cleared, and the browser is to come again.
class Later extends Error {}

// Visit is one request of a browser, and what is to be sent back with its answer.
class Visit {
  setCookie = new Map() // by name: each is sent once, however many parts have refreshed

  constructor(req) {
    // Bitjang compares a refresh with the session's device. It is the browser's, not ours.
    this.headers = Object.fromEntries(passedOn.flatMap((name) => req.headers[name] ? [[name, req.headers[name]]] : []))
    // Bitjang believes it if this server's address is in BITJANG_TRUSTED_PROXIES.
    this.headers['x-forwarded-for'] = [req.headers['x-forwarded-for'], req.socket.remoteAddress].filter(Boolean).join(', ')
    this.access = cookie(req.headers.cookie ?? '', accessCookie)
  }

  // get is what a part calls. null: nobody is logged in.
  async get(url) {
    const used = this.access
    let answer = used && await this.ask(url, used)
    if (!answer || answer.status === 401) {
      // Another part may have refreshed meanwhile. If not, this one does, even if
      // others are about to: they get different tokens, and all of them are good.
      if (this.access === used && !await this.refresh()) return null
      answer = await this.ask(url, this.access)
    }
    if (answer.status === 401) return null
    if (!answer.ok) throw new Later(`${url} answers ${answer.status}`)
    return answer.json()
  }

  ask(url, token) { return fetch(url, { headers: { authorization: `Bearer ${token}` } }) }

  // refresh always takes the cookie that the browser sent, never one that came back
  // since: should this page get lost on its way, the browser has nothing newer.
  async refresh() {
    const answer = await fetch(`${BITJANG_ISSUER}/v1/refresh`, { method: 'POST', headers: this.headers })
    await answer.arrayBuffer()
    if (answer.status === 401 || answer.status === 403) return false // 403: the person has to prove who they are, at the login page
    if (!answer.ok) throw new Later(`the refresh answers ${answer.status}`)
    for (const line of answer.headers.getSetCookie()) {
      const [name] = line.split('=', 1)
      this.setCookie.set(name, line)
      if (name === accessCookie) this.access = cookie(line, name)
    }
    return true
  }
}

// The parts. Yours would be components.
const parts = {
  user: async (visit) => (await visit.get(ORDERS_URL))?.user,
  session: async (visit) => (await visit.get(ORDERS_URL))?.session,
  basket: async (visit) => (await visit.get(ORDERS_URL)) ? 'empty' : undefined,
  orders: async (visit) => (await visit.get(ORDERS_URL)) && (await visit.get(ORDERS_URL)) ? 'two' : undefined,
}

async function page(req, res) {
  const visit = new Visit(req)
  const made = await Promise.allSettled(Object.entries(parts).map(async ([name, part]) => [name, await part(visit)]))
  // What was rotated goes to the browser whatever became of the page. Where pages
  // are streamed, refresh before the first byte.
  res.setHeader('set-cookie', [...visit.setCookie.values()])
  res.setHeader('cache-control', 'private, no-store')
  res.setHeader('content-type', 'text/html; charset=utf-8')
  if (made.some((m) => m.status === 'rejected')) {
    console.error(made.find((m) => m.status === 'rejected').reason.message)
    res.writeHead(503, { refresh: '1' }).end('<!doctype html><title>Orders</title><p>One moment, please.</p>')
  } else if (made.some((m) => m.value[1] === undefined)) {
    const login = `${BITJANG_ISSUER}/login?return_to=${encodeURIComponent(`http://${req.headers.host}/`)}`
    res.writeHead(401).end(`<!doctype html><title>Orders</title><p><a href="${escape(login)}">Log in</a></p>`)
  } else {
    const list = made.map((m) => `<dt>${m.value[0]}<dd id="${m.value[0]}">${escape(m.value[1])}`).join('\n')
    res.writeHead(200).end(`<!doctype html><title>Orders</title><dl>\n${list}\n</dl>`)
  }
}

function escape(text) { return String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`) }

createServer((req, res) => {
  if (req.url === '/healthz') res.end('ok')
  else if (req.url !== '/') res.writeHead(404).end()
  else page(req, res).catch((err) => { console.error(err); res.writeHead(500).end() })
}).listen(PORT, '127.0.0.1')
