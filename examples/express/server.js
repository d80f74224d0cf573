// A resource server in Node: every request to /orders needs an access token
// from Bitjang. Only the issuer's URL is configured; keys come from there, also
// after they have been rotated.
//
//   npm ci && BITJANG_ISSUER=https://auth.example.com PORT=3000 npm start
import express from 'express'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const issuer = process.env.BITJANG_ISSUER ?? 'http://localhost:8080'
const audience = process.env.BITJANG_AUDIENCE ?? issuer
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

async function authenticated(req, res, next) {
  const [scheme, token] = (req.get('authorization') ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer' || !token) {
    return res.status(401).set('WWW-Authenticate', 'Bearer').json({ error: 'log in first' })
  }
  try {
    // typ and the algorithms are named: another kind of token must not pass.
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', algorithms: ['ES256', 'EdDSA', 'RS256'] })
    req.user = payload
    next()
  } catch (err) {
    if (err instanceof errors.JOSEError && err.code !== 'ERR_JWKS_TIMEOUT') {
      return res.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').json({ error: 'log in again' })
    }
    next(err) // the keys cannot be fetched: not the caller's fault, and no reason to log anybody out
  }
}

const app = express()
app.get('/', (_req, res) => res.json({ ok: true }))
app.get('/orders', authenticated, (req, res) => res.json({ user: req.user.sub, session: req.user.sid, roles: req.user.roles ?? [] }))
app.use((err, _req, res, _next) => {
  console.error(err.message)
  res.status(503).set('Retry-After', '1').json({ error: 'try again in a moment' })
})
app.listen(process.env.PORT ?? 3000, '127.0.0.1')
