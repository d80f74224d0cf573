import { once } from 'node:events'
import { createServer } from 'node:http'

// startElsewhere serves pages of another site: 127.0.0.1 is not localhost.
export async function startElsewhere(pages = {}) {
  const seen = []
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1')
    seen.push({ method: request.method, path: url.pathname, headers: request.headers })
    const page = pages[url.pathname]
    if (page === undefined) {
      response.writeHead(url.pathname === '/favicon.ico' ? 204 : 404).end()
      return
    }
    const { headers = {}, body } = typeof page === 'string' ? { body: page } : page
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...headers }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    pages,
    seen,
    stop: () => { server.closeAllConnections(); server.close() },
  }
}
