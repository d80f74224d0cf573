import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { count, events, expect, logIn, me, person, test } from './fixtures.js'

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

test('it is small', () => {
  const size = (file) => gzipSync(readFileSync(new URL(`../dist/${file}`, import.meta.url)), { level: 9 }).length
  expect(size('index.js')).toBeLessThan(5_000)
  expect(size('dpop.js')).toBeLessThan(1_200)
})

test('log in, ask, log out: no script sees a token', async ({ tab, stage }) => {
  const page = await tab()
  expect(await me(page)).toBe(401) // a browser may have a session that it does not know of: it asks once
  const { session, user } = await logIn(page)
  expect(user.email).toBe(person.identifier)
  expect(await me(page)).toBe(200)
  const seen = await page.evaluate(() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(window.events))
  expect(seen).not.toMatch(/bjr_|eyJ/)
  expect(seen).toContain(session.id)
  await page.evaluate(() => window.client.logout())
  expect(await me(page)).toBe(401)
  expect((await events(page, 'signedout'))[0].reason).toBe('logout')
  expect(count(stage, '/v1/logout', 204)).toBe(1)
})

test('a wrong password is a typed error', async ({ tab }) => {
  const page = await tab()
  const err = await page.evaluate(() => window.client.login({ identifier: 'minji@example.com', password: 'x' })
    .catch((e) => ({ name: e.name, code: e.code, kind: e.kind, status: e.status, is: e.is('invalid_credentials') })))
  expect(err).toEqual({ name: 'BitjangError', code: 'invalid_credentials', kind: 'rejected', status: 401, is: true })
})

test('tokens are renewed before they expire', async ({ tab, stage }) => {
  const page = await tab()
  await logIn(page)
  for (let i = 0; i < 14; i++) {
    expect(await me(page)).toBe(200)
    await pause(500)
  }
  expect(count(stage, '/v1/me', 401)).toBe(0)
  expect(count(stage, '/v1/refresh', 200)).toBeGreaterThan(1)
  expect(stage.most).toBe(1)
})

for (const [how, prepare] of [['with Web Locks', undefined], ['without', () => Object.defineProperty(navigator, 'locks', { value: undefined })]]) {
  test(`tabs share a refresh ${how}`, async ({ tab, stage }) => {
    const pages = []
    for (let i = 0; i < 4; i++) pages.push(await tab({ background: false }, prepare))
    await logIn(pages[0])
    await pause(3_200) // the access token has expired in all of them
    expect(await Promise.all(pages.map((p) => me(p)))).toEqual([200, 200, 200, 200])
    expect(stage.most).toBe(1)
    // One, or one more where a busy browser shows a tab late what another has stored.
    if (!prepare) expect(count(stage, '/v1/refresh')).toBeLessThan(3)
    for (const p of pages) expect(await events(p, 'signedout')).toEqual([])
    const by = (await Promise.all(pages.map((p) => events(p, 'refreshed')))).flat().map((e) => e.by)
    expect(by).toContain('this tab')
    expect(by).toContain('another tab')
  })
}

for (const [what, fault] of [['a lost request', 'drop'], ['a lost answer', 'lose'], ['a server that is down', 503], ['a proxy’s own mistake', 500], ['a proxy that wants a login', 401]]) {
  test(`${what} is no logout`, async ({ tab, stage }) => {
    const page = await tab({ background: false, patience: 2 })
    await logIn(page)
    await pause(3_100)
    stage.fault = ({ path }) => (path === '/v1/refresh' ? fault : undefined)
    const got = await me(page)
    expect(got).toMatch(/^(retry|rejected): /)
    stage.fault = () => undefined
    await expect.poll(() => me(page), { timeout: 20_000 }).toBe(200)
    expect(await events(page, 'signedout')).toEqual([])
  })
}

test('a server that is away is told, and that it is back', async ({ tab, stage }) => {
  const page = await tab({ background: false, patience: 1 })
  await logIn(page)
  await stage.kill()
  await pause(3_100)
  expect(await me(page)).toMatch(/^retry: /)
  expect((await events(page, 'offline')).length).toBe(1)
  await stage.start()
  await expect.poll(() => me(page), { timeout: 20_000 }).toBe(200)
  expect((await events(page, 'online')).length).toBe(1)
})

test('an end is an end, and says why', async ({ tab, stage }) => {
  const page = await tab({ background: false })
  const other = await tab({ background: false })
  await logIn(page)
  await expect.poll(() => events(other, 'signedin')).toHaveLength(1) // the other tab hears of the login
  const phone = await (await stage.post('/v1/login', person)).json()
  await stage.post('/v1/logout-all', { keep_current: true }, { authorization: `Bearer ${phone.access_token}` })
  expect(await me(page)).toBe(401)
  expect(await events(page, 'signedout')).toMatchObject([{ reason: 'session_revoked', sessionEnd: 'logout_all' }])
  await expect.poll(() => events(other, 'signedout')).toMatchObject([{ reason: 'session_revoked' }])
  expect(await page.evaluate(() => window.client.session())).toBe(null)
})

test('a logout in one tab is one in all', async ({ tab }) => {
  const [page, other] = [await tab(), await tab()]
  await logIn(page)
  await expect.poll(() => events(other, 'signedin')).toHaveLength(1)
  await other.evaluate(() => window.client.logout())
  await expect.poll(() => events(page, 'signedout')).toMatchObject([{ reason: 'logout' }])
})

test('an app that holds its tokens stores the new one before it uses the access token', async ({ tab, stage }) => {
  const page = await tab({ transport: 'token', stored: true, background: false })
  const order = []
  await page.exposeFunction('note', (what) => order.push(what))
  await page.evaluate(() => {
    const set = Storage.prototype.setItem
    Storage.prototype.setItem = function (k, v) { void window.note(`store ${/bjr_\w+/.exec(v)?.[0].length ?? 0}`); return set.call(this, k, v) }
  })
  await logIn(page)
  await pause(3_100)
  order.length = 0
  stage.seen.length = 0
  expect(await me(page)).toBe(200)
  expect(order.filter((o) => o !== 'store 0').length).toBe(1)
  expect(stage.seen.map((s) => s.path)).toEqual(['/v1/refresh', '/v1/me'])
  expect(stage.seen[0].headers['device-id']).toBeTruthy()
  expect(stage.seen[0].headers.cookie).toBeUndefined()
  // A new page of the app goes on where this one was.
  const next = await tab({ transport: 'token', stored: true, background: false })
  expect(await me(next)).toBe(200)
})

test('requests elsewhere carry nothing', async ({ tab, stage }) => {
  const page = await tab({ transport: 'token', background: false })
  await logIn(page)
  const elsewhere = stage.url.replace('localhost', '127.0.0.1')
  stage.api['/else'] = (req, res) => res.writeHead(200, { 'access-control-allow-origin': '*' }).end()
  await page.evaluate((url) => window.client.fetch(url), elsewhere + '/else')
  expect(stage.seen.at(-1)).toMatchObject({ path: '/else' })
  expect(stage.seen.at(-1).headers.authorization).toBeUndefined()
})

test('a proof that a resource server wants is asked for, and the request made again', async ({ tab, stage }) => {
  stage.api['/orders'] = (req, res) => {
    const token = /bitjang_at=[^.]+\.([^.]+)/.exec(req.headers.cookie ?? '')?.[1]
    const { auth_time } = JSON.parse(Buffer.from(token, 'base64url'))
    if (Date.now() / 1000 - auth_time < 2) return res.writeHead(200).end()
    res.writeHead(401, { 'www-authenticate': 'Bearer error="insufficient_user_authentication", max_age="1"' }).end()
  }
  const page = await tab()
  await logIn(page)
  await pause(2_500)
  expect(await me(page, '/orders')).toBe(401) // the person does not want to
  expect(await page.evaluate(() => window.needed)).toMatchObject({ reason: 'insufficient_user_authentication', maxAge: 1 })
  await page.evaluate((p) => { window.answer = p }, person.password)
  expect(await me(page, '/orders')).toBe(200)
  expect(await events(page, 'signedout')).toEqual([])
})

test('a key in the browser: tokens are worth nothing without it', async ({ tab, stage }) => {
  const page = await tab({ transport: 'token', stored: true, dpop: true, background: false })
  await logIn(page)
  expect(await me(page)).toBe(200)
  await pause(3_100)
  expect(await me(page)).toBe(200)
  const held = await page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([, v]) => v.includes('bjr_'))[1]))
  expect(held.type).toBe('DPoP')
  expect((await fetch(`${stage.url}/v1/me`, { headers: { authorization: `Bearer ${held.access}` } })).status).toBe(401)
  expect((await (await stage.post('/v1/refresh', { refresh_token: held.refresh })).json()).code).toBe('dpop_proof_required')
  const stolen = await page.evaluate(async () => {
    const db = await new Promise((done) => { const o = indexedDB.open('bitjang', 1); o.onsuccess = () => done(o.result) })
    const pair = await new Promise((done) => { const g = db.transaction('keys').objectStore('keys').get('default'); g.onsuccess = () => done(g.result) })
    return crypto.subtle.exportKey('jwk', pair.privateKey).then(() => 'a key', (err) => err.name)
  })
  expect(stolen).toBe('InvalidAccessError')
  const other = await tab({ transport: 'token', stored: true, dpop: true, background: false })
  expect(await me(other)).toBe(200) // the same key
})

test('in Node', async ({ stage }) => {
  const { createClient } = await import('../dist/index.js')
  const client = createClient({ issuer: stage.url, transport: 'token', device: { name: 'a job' } })
  const ended = []
  client.on('signedout', (e) => ended.push(e))
  await client.login(person)
  expect((await client.fetch(`${stage.url}/v1/me`)).status).toBe(200)
  await pause(3_200)
  expect((await (await client.fetch(`${stage.url}/v1/me`)).json()).email).toBe(person.identifier)
  expect(count(stage, '/v1/refresh', 200)).toBe(1)
  await client.logout()
  expect((await client.fetch(`${stage.url}/v1/me`)).status).toBe(401)
  expect(ended.map((e) => e.reason)).toEqual(['logout'])
  client.close()
})
