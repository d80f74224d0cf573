// Serves the page. Any server of files will do.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const { BITJANG_ISSUER = 'http://localhost:8080', CLIENT_ID, EARLY = 60, PORT = 3000 } = process.env
const here = fileURLToPath(new URL('.', import.meta.url))
const types = { '.html': 'text/html', '.js': 'text/javascript' }

createServer(async (req, res) => {
  let { pathname } = new URL(req.url, 'http://localhost')
  if (pathname === '/config.js') {
    const config = { issuer: BITJANG_ISSUER, client: CLIENT_ID, early: Number(EARLY) }
    return res.setHeader('content-type', types['.js']).end(`export default ${JSON.stringify(config)}`)
  }
  if (pathname === '/') pathname = '/index.html'
  const file = normalize(pathname.startsWith('/lib/') ? join('node_modules', pathname.slice(5)) : pathname.slice(1))
  if (file.startsWith('..') || !types[extname(file)]) return res.writeHead(404).end()
  readFile(join(here, file)).then((body) => res.setHeader('content-type', types[extname(file)]).end(body), () => res.writeHead(404).end())
}).listen(PORT, '127.0.0.1')
