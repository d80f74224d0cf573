// Serves the page and its scripts, as they are. Nothing here knows of tokens: they
// are the browser's.
//
//   bitjang client add "Notes" --public --redirect-uri http://127.0.0.1:3000/ --logout-uri http://127.0.0.1:3000/
//   npm ci && BITJANG_ISSUER=http://localhost:8080 CLIENT_ID=… npm start
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'

const { BITJANG_ISSUER = 'http://localhost:8080', CLIENT_ID, PORT = 3000 } = process.env
const files = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript'],
  '/oidc-client-ts.js': ['node_modules/oidc-client-ts/dist/esm/oidc-client-ts.js', 'text/javascript'],
  '/jwt-decode.js': ['node_modules/jwt-decode/build/esm/index.js', 'text/javascript'],
}

createServer(async (req, res) => {
  const path = new URL(req.url, 'http://127.0.0.1').pathname
  if (path === '/settings.json') {
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ authority: BITJANG_ISSUER, client_id: CLIENT_ID }))
  } else if (files[path]) {
    const [name, type] = files[path]
    res.writeHead(200, { 'content-type': type }).end(await readFile(new URL(name, import.meta.url)))
  } else {
    res.writeHead(path === '/favicon.ico' ? 204 : 404).end()
  }
}).listen(PORT, '127.0.0.1')
