// An application in Node that logs people in with openid-client, which knows
// nothing of Bitjang. Only the issuer's URL and the client are configured.
//
//   bitjang client add "Orders" --redirect-uri http://127.0.0.1:3000/callback --logout-uri http://127.0.0.1:3000/ \
//     --backchannel-logout-uri http://127.0.0.1:3000/backchannel-logout
//   npm ci && BITJANG_ISSUER=http://localhost:8080 CLIENT_ID=… CLIENT_SECRET=… npm start
import { randomUUID } from 'node:crypto'
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'

const { BITJANG_ISSUER = 'http://localhost:8080', CLIENT_ID, CLIENT_SECRET, ORDERS_URL, PORT = 3000 } = process.env
const base = `http://127.0.0.1:${PORT}`
const execute = BITJANG_ISSUER.startsWith('http://') ? [oidc.allowInsecureRequests] : [] // for development only
const config = await oidc.discovery(new URL(BITJANG_ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, { execute })
const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri)) // fetched when they are needed, and kept

// What the application keeps of a browser. The tokens never go there.
const sessions = new Map()
function sessionOf(req, res) {
  const id = /(?:^|; )app=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1]
  if (id && sessions.has(id)) return sessions.get(id)
  const fresh = randomUUID(), session = {}
  sessions.set(fresh, session)
  res.cookie('app', fresh, { httpOnly: true, sameSite: 'lax' })
  return session
}

function forget(session) { for (const name of Object.keys(session)) delete session[name] }

function keep(session, tokens) {
  session.tokens = { ...session.tokens, ...tokens }
  session.expires = performance.now() + tokens.expiresIn() * 1000
}

// fresh gives an access token that is still good. Requests that come together
// share one refresh.
async function fresh(session) {
  if (performance.now() > session.expires - 500) {
    session.refreshing ??= oidc.refreshTokenGrant(config, session.tokens.refresh_token)
      .then((tokens) => keep(session, tokens)).finally(() => { session.refreshing = undefined })
    await session.refreshing
  }
  return session.tokens.access_token
}

const app = express()
app.use((req, res, next) => { req.session = sessionOf(req, res); next() })
app.get('/', (req, res) => res.json({ user: req.session.user ?? '' }))

app.get('/login', async (req, res) => {
  const verifier = oidc.randomPKCECodeVerifier()
  req.session.asked = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
  res.redirect(oidc.buildAuthorizationUrl(config, {
    redirect_uri: `${base}/callback`, scope: 'openid email offline_access', state: req.session.asked.expectedState, nonce: req.session.asked.expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  }).href)
})

app.get('/callback', async (req, res) => {
  const tokens = await oidc.authorizationCodeGrant(config, new URL(req.originalUrl, base), { ...req.session.asked, idTokenExpected: true })
  keep(req.session, tokens)
  req.session.asked = undefined
  req.session.user = tokens.claims().sub
  req.session.sid = tokens.claims().sid
  await oidc.fetchUserInfo(config, tokens.access_token, req.session.user)
  res.redirect('/')
})

app.get('/orders', async (req, res) => {
  if (!req.session.tokens) return res.status(401).json({ error: 'log in first' })
  const url = new URL(ORDERS_URL ?? config.serverMetadata().userinfo_endpoint)
  const answer = await oidc.fetchProtectedResource(config, await fresh(req.session), url, 'GET')
  res.status(answer.status).json(await answer.json().catch(() => null))
})

app.get('/logout', (req, res) => {
  const url = oidc.buildEndSessionUrl(config, { id_token_hint: req.session.tokens?.id_token ?? '', post_logout_redirect_uri: `${base}/` })
  forget(req.session)
  res.redirect(url.href)
})

// Bitjang says here that a session has ended, wherever and why ever (OpenID Connect
// Back-Channel Logout). openid-client has nothing for it, jose checks the token.
app.post('/backchannel-logout', express.urlencoded({ extended: false }), async (req, res) => {
  const { payload } = await jwtVerify(String(req.body?.logout_token), keys, {
    issuer: config.serverMetadata().issuer, audience: CLIENT_ID, typ: 'logout+jwt', requiredClaims: ['iat', 'exp', 'jti', 'sid'],
  }).catch((err) => ({ payload: { problem: err.message } }))
  if (!payload.events?.['http://schemas.openid.net/event/backchannel-logout'] || 'nonce' in payload) {
    return res.status(400).json({ error: 'invalid_request', error_description: payload.problem ?? 'no logout token' })
  }
  for (const session of sessions.values()) if (session.sid === payload.sid) forget(session)
  res.set('cache-control', 'no-store').end()
})

// The library says why it refuses; what a person has to do is the same.
app.use((err, _req, res, _next) => {
  console.error(err.code ?? err.name, err.message, err.cause?.error ?? '')
  res.status(401).json({ error: 'log in again' })
})
app.listen(PORT, '127.0.0.1')
