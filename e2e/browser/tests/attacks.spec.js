import { startElsewhere } from '../harness/elsewhere.js'
import { expect, startBitjang, linkIn, test as base } from '../harness/fixtures.js'

const accessCookie = '__Host-bitjang_at'
const refreshCookie = '__Host-bitjang_rt'

const test = base.extend({
  // elsewhere is another site, 127.0.0.1, and at the same time, by the name of
  // sibling, another origin of the same site, localhost, which gets our cookies.
  elsewhere: async ({ watch }, use) => {
    const elsewhere = await startElsewhere()
    elsewhere.sibling = elsewhere.url.replace('127.0.0.1', 'localhost')
    watch.permit(elsewhere.url).permit(elsewhere.sibling)
    await use(elsewhere)
    elsewhere.stop()
  },
})

const cookie = async (context, name) => (await context.cookies()).find((c) => c.name === name)?.value

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;')

// forged is a page that sends a form to somewhere else as soon as it is open.
function forged(action, fields) {
  const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`).join('')
  return `<!doctype html><title>A prize</title><form method="post" action="${action}">${inputs}</form><script>document.forms[0].submit()</script>`
}

const evilTargets = [
  '//evil.test', '/\\evil.test', '\\\\evil.test', '/%2f%2fevil.test', '/.//evil.test', 'https://evil.test', '/\t/evil.test', 'javascript:alert(1)',
  '///evil.test', '%2f%2fevil.test', '/%5cevil.test', '/..//evil.test', 'HTTPS://evil.test', 'https:evil.test', 'https:/evil.test', 'http:evil.test', ' https://evil.test', 'java\tscript:alert(1)',
  'data:text/html,<script>alert(1)</script>', '/\n/evil.test', '/\r\n/evil.test', '\t//evil.test', '/account//evil.test/..//', 'evil.test', '@evil.test', '.evil.test',
  'http://localhost@evil.test', 'https://localhost.evil.test', '/account\r\nSet-Cookie: a=b',
]

test('a login leads to no other site', async ({ page, bitjang, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  const dialogs = []
  page.on('dialog', (d) => { dialogs.push(d.message()); return d.dismiss() })
  const led = {}
  const judge = (target, location) => {
    if (new URL(location, bitjang.url).origin !== bitjang.url) led[target] = location
  }
  // A browser has the last word, here on the usual ones.
  for (const target of evilTargets.slice(0, 8)) {
    await page.goto(`/login?return_to=${encodeURIComponent(target)}`)
    await minji.typeLogin()
    // Nor is it left to the policy to stop the browser: it gets to a page of ours.
    await page.waitForURL((url) => url.origin === bitjang.url && url.pathname !== '/login', { timeout: 5_000 })
      .catch(() => { led[target] = page.url() })
    await page.context().clearCookies({ name: /bitjang_[ar]t/ })
  }
  expect(led, 'redirects to other sites').toEqual({})
  for (const target of evilTargets) {
    const answer = await page.request.post('/login', { form: { email: person.email, password: person.password, return_to: target }, maxRedirects: 0 })
    expect(answer.status()).toBe(303)
    judge(target, answer.headers().location)
    await page.context().clearCookies({ name: /bitjang_[ar]t/ })
  }
  expect(led, 'redirects to other sites').toEqual({})
  expect(dialogs).toEqual([])

  // The same when one is logged in already, and for the switch of the language.
  await minji.logIn()
  for (const target of evilTargets) {
    for (const [path, options] of [
      [`/login?return_to=${encodeURIComponent(target)}`, {}],
      ['/account/language', { method: 'POST', form: { lang: 'en', back: target } }],
    ]) {
      const answer = await page.request.fetch(path, { ...options, maxRedirects: 0 })
      expect(answer.status()).toBe(303)
      expect(new URL(answer.headers().location, bitjang.url).origin, `${path} ${target}`).toBe(bitjang.url)
    }
  }
})

test('a login leads to a registered URL and what is below it, and to none beside it', async ({ page, mail, visitor, person, watch, elsewhere }) => {
  for (const path of ['/app', '/app/deep']) elsewhere.pages[path] = '<!doctype html><html lang="en"><title>App</title><h1>App</h1>'
  const bitjang = await startBitjang({ BITJANG_SMTP: mail.url, BITJANG_RETURN_URLS: `${elsewhere.url}/app` })
  try {
    watch.permit(bitjang.url)
    const minji = visitor(page, person)
    const post = (path, form) => page.request.post(bitjang.url + path, { form })
    await post('/signup', person)
    await post('/account/verify-email', { token: new URL(linkIn(await minji.mailed('verify_email'), '/account/verify-email')).searchParams.get('token') })
    for (const [target, want] of [
      [`${elsewhere.url}/app`, `${elsewhere.url}/app`],
      [`${elsewhere.url}/app/deep?a=b#c`, `${elsewhere.url}/app/deep?a=b#c`],
      [`${elsewhere.url}/apple`, `${bitjang.url}/account`],
      [`${elsewhere.url}/`, `${bitjang.url}/account`],
      [`${elsewhere.url}/app/../secret`, `${bitjang.url}/account`],
      [`${elsewhere.url}/app/%2e%2e/secret`, `${bitjang.url}/account`],
      [`${elsewhere.url.replace('://', '://x@')}/app`, `${bitjang.url}/account`],
      [`${elsewhere.sibling}/app`, `${bitjang.url}/account`],
      [`${elsewhere.url.replace('http:', 'https:')}/app`, `${bitjang.url}/account`],
    ]) {
      await page.goto(`${bitjang.url}/login?return_to=${encodeURIComponent(target)}`)
      await minji.typeLogin()
      await expect(page, target).toHaveURL(want)
      await page.context().clearCookies({ name: /bitjang_[ar]t/ })
    }
  } finally {
    await bitjang.stop()
  }
})

test('forms from other origins are refused and change nothing', async ({ page, context, bitjang, visitor, person, browserOf, watch, elsewhere, t }) => {
  watch.allow(403)
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const second = visitor(await (await browserOf()).newPage(), person)
  await second.logIn()
  await page.goto('/account/activity')
  await expect(minji.device('')).toHaveCount(2)
  const form = await minji.device('').locator('form[action$="/end"]').getAttribute('action')

  const attempts = {
    '/logout': {},
    '/account/sessions/end-others': {},
    [form]: {},
    '/account/profile': { name: 'Mallory' },
    '/account/delete': { current_password: person.password },
    '/account/email': { email: 'mallory@example.com', current_password: person.password },
    '/account/password': { current_password: person.password, password: 'mallory-was-here-1' },
    '/account/language': { lang: 'ko', back: '/account' },
    '/login': { email: person.email, password: person.password },
  }
  for (const origin of [elsewhere.url, elsewhere.sibling]) {
    for (const [path, fields] of Object.entries(attempts)) {
      elsewhere.pages['/prize'] = forged(bitjang.url + path, fields)
      const answer = page.waitForResponse((r) => r.url() === bitjang.url + path)
      await page.goto(`${origin}/prize`)
      expect((await answer).status(), `${path} from ${origin}`).toBe(403)
      await expect(page.getByText(t('error.cross_origin'))).toBeVisible()
    }
  }
  await page.goto('/account')
  await minji.isIn()
  await expect(page.locator('html')).toHaveAttribute('lang', 'en')
  await page.goto('/account/activity')
  await expect(minji.device('')).toHaveCount(2)
  await second.page.goto('/account')
  await second.isIn()
  await expect(second.page.getByText(person.email)).toBeVisible()
})

test('nobody is logged in as somebody else by a form on another site', async ({ page, context, bitjang, visitor, person, browserOf, watch, elsewhere }) => {
  watch.allow(403)
  const mallory = visitor(await (await browserOf()).newPage(), { ...person, email: `mallory-${person.email}`, name: 'Mallory' })
  await mallory.signUpAndVerify()
  for (const origin of [elsewhere.url, elsewhere.sibling]) {
    elsewhere.pages['/prize'] = forged(`${bitjang.url}/login`, { email: mallory.person.email, password: person.password })
    const answer = page.waitForResponse(`${bitjang.url}/login`)
    await page.goto(`${origin}/prize`)
    expect((await answer).status()).toBe(403)
    expect(await cookie(context, refreshCookie)).toBeUndefined()
    await visitor(page, person).isOutAt('/account')
  }
})

test('no page of ours shows in a frame', async ({ page, bitjang, visitor, person, watch, elsewhere }) => {
  watch.allow('net::ERR_BLOCKED_BY_RESPONSE', 'net::ERR_BLOCKED_BY_CSP')
  let refusals = 0
  watch.tolerated = (text) => /frame-ancestors|X-Frame-Options/.test(text) && ++refusals > 0
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  for (const origin of [elsewhere.url, elsewhere.sibling]) {
    for (const path of ['/login', '/account/activity', '/account/delete']) {
      elsewhere.pages['/frame'] = `<!doctype html><title>Frame</title><iframe src="${bitjang.url}${path}" width="600" height="400"></iframe>`
      await page.goto(`${origin}/frame`, { waitUntil: 'load' })
      expect(page.frames()).toHaveLength(2)
      const text = await page.frames()[1].evaluate(() => document.body?.innerText ?? '').catch(() => '')
      expect(text, path).not.toMatch(/Bitjang|Minji/)
      await expect(page.frameLocator('iframe').locator('form')).toHaveCount(0)
    }
  }
  await expect.poll(() => refusals, 'the browser says that it refused').toBeGreaterThanOrEqual(6)
})

test('tossed cookies log nobody in and nobody out', async ({ page, context, bitjang, visitor, person, browserOf, watch, elsewhere }) => {
  // Another program on the same host plants cookies for every path it can.
  const mallory = visitor(await (await browserOf()).newPage(), { ...person, email: `mallory-${person.email}`, name: 'Mallory' })
  await mallory.signUpAndVerify()
  await mallory.logIn()
  const stolen = await mallory.page.context().cookies()
  const tokens = stolen.filter((c) => /bitjang_[ar]t$/.test(c.name))
  expect(tokens).toHaveLength(2)
  const planted = tokens.flatMap(({ name, value }) => {
    const bare = name.replace('__Host-', '')
    return [
      `${bare}=${value}; Path=/`,
      `${bare}=${value}; Path=/account`,
      `__Secure-${bare}=${value}; Path=/; Secure`,
      `__host-${bare}=${value}; Path=/account`,
      `__Host-${bare}=${value}; Path=/account; Secure`, // a browser refuses these
      `__Host-${bare}=${value}; Path=/`,
      `__Host-${bare}=${value}; Path=/; Domain=localhost; Secure`,
      `=__Host-${bare}=${value}; Path=/account`, // a cookie without a name that reads like ours
    ]
  })
  elsewhere.pages['/toss'] = { body: '<!doctype html><title>Toss</title>', headers: { 'Set-Cookie': planted } }

  await page.goto(`${elsewhere.sibling}/toss`)
  expect((await context.cookies()).length, 'some of them are there').toBeGreaterThan(2)
  const minji = visitor(page, person)
  await minji.isOutAt('/account')
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto(`${elsewhere.sibling}/toss`)
  for (let i = 0; i < 2; i++) {
    await page.goto('/account')
    await minji.isIn()
    await expect(page.getByText(person.email, { exact: true })).toBeVisible()
    await context.clearCookies({ name: accessCookie }) // the second time by the refresh token
  }
  await minji.logOut()
  await minji.isOutAt('/account')
})

test('tokens that were there before a login are not those after it', async ({ page, context, bitjang, visitor, person, browserOf }) => {
  const mallory = visitor(await (await browserOf()).newPage(), { ...person, email: `mallory-${person.email}`, name: 'Mallory' })
  await mallory.signUpAndVerify()
  await mallory.logIn()
  const planted = (await mallory.page.context().cookies()).filter((c) => /bitjang_/.test(c.name))
  const minji = visitor(page, person)
  await minji.signUpAndVerify()

  await page.goto('/login') // the form is open when the cookies come
  await context.addCookies(planted)
  await minji.typeLogin()
  await minji.isIn()
  await expect(page.getByText(person.email, { exact: true })).toBeVisible()
  for (const name of [accessCookie, refreshCookie]) {
    const now = await cookie(context, name)
    expect(now).toBeTruthy()
    expect(now).not.toBe(planted.find((c) => c.name === name).value)
  }
  // Mallory's browser is where it was, or nowhere, but not in this account.
  await mallory.page.goto('/account')
  await expect(mallory.page.getByText(person.email, { exact: true })).toHaveCount(0)

  await minji.logOut()
  await page.goto('/login')
  const nonsense = { domain: 'localhost', path: '/', secure: true, httpOnly: true, sameSite: 'Lax' }
  await context.addCookies([{ name: accessCookie, value: 'chosen', ...nonsense }, { name: refreshCookie, value: 'chosen', ...nonsense }])
  await page.goto('/login')
  await minji.typeLogin()
  await minji.isIn()
  for (const name of [accessCookie, refreshCookie]) expect(await cookie(context, name)).not.toBe('chosen')
})

test('what the cookies and the pages say to browsers', async ({ page, context, visitor, person }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  for (const c of (await context.cookies()).filter((c) => /bitjang_(at|rt|device)$/.test(c.name))) {
    expect(c, c.name).toMatchObject({ secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost' })
    expect(c.name).toMatch(/^__Host-/)
  }
  expect(await page.evaluate(() => document.cookie)).not.toContain('bitjang_')
  for (const path of ['/login', '/account', '/account/activity', '/account/export']) {
    const headers = (await page.request.get(path, { maxRedirects: 0 })).headers()
    expect(headers['cache-control'], path).toContain('no-store')
    expect(headers['x-content-type-options'], path).toBe('nosniff')
    if (path === '/account/export') continue // a file, not a page
    expect(headers['content-security-policy'] ?? '', path).toContain("frame-ancestors 'none'")
    expect(headers['content-security-policy'] ?? '', path).toContain("default-src 'none'")
    expect(headers['content-security-policy'], path).not.toContain('unsafe')
    expect(headers['referrer-policy'], path).toMatch(/^(same-origin|no-referrer|strict-origin)$/)
  }
})
