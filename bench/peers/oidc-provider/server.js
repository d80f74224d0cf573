// node oidc-provider with everything in memory, for the benchmark: one client, one
// account, and a route that mints authorization codes as its own authorization
// endpoint does, so that the exchange can be measured by itself.
import { createHash } from 'node:crypto'
import Provider from 'oidc-provider'

// Its own adapter in memory forgets after a thousand entries; this one does not.
const all = new Map()
class Memory {
  constructor(name) { this.name = name }
  key(id) { return `${this.name}:${id}` }
  async upsert(id, payload) { all.set(this.key(id), payload) }
  async find(id) { return all.get(this.key(id)) }
  async findByUid() {}
  async findByUserCode() {}
  async destroy(id) { all.delete(this.key(id)) }
  async consume(id) { all.get(this.key(id)).consumed = Math.floor(Date.now() / 1000) }
  async revokeByGrantId(grantId) { for (const [key, p] of all) if (p.grantId === grantId) all.delete(key) }
}

const { PORT, ISSUER = `http://127.0.0.1:${PORT}` } = process.env
const callback = 'https://app.example.com/callback'
const provider = new Provider(ISSUER, {
  adapter: Memory,
  clients: [{ client_id: 'bench', client_secret: 'bench-secret', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'], scope: 'openid email offline_access' }],
  features: { introspection: { enabled: true, allowedPolicy: () => true }, devInteractions: { enabled: false } },
  clientAuthMethods: ['client_secret_post', 'client_secret_basic'],
  claims: { email: ['email'] },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, email: 'ann@example.com' }) }),
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  cookies: { keys: ['bench'] },
  pkce: { required: () => true },
})
provider.proxy = true

async function mint(verifier) {
  const grant = new provider.Grant({ accountId: 'ann', clientId: 'bench' })
  grant.addOIDCScope('openid email offline_access')
  const grantId = await grant.save()
  const code = new provider.AuthorizationCode({
    accountId: 'ann', clientId: 'bench', grantId, gty: 'authorization_code', scope: 'openid email offline_access', redirectUri: callback,
    codeChallenge: createHash('sha256').update(verifier).digest('base64url'), codeChallengeMethod: 'S256', authTime: Math.floor(Date.now() / 1000),
    claims: {}, sessionUid: grantId, expiresWithSession: false,
  })
  code.client = await provider.Client.find('bench')
  return code.save()
}

provider.use(async (ctx, next) => {
  if (ctx.path !== '/mint') return next()
  const codes = []
  for (let i = Number(ctx.query.n); i > 0; i--) codes.push(await mint(String(ctx.query.verifier)))
  ctx.body = { codes }
})
provider.listen(PORT, '127.0.0.1')
