// Pictures of the pages: SCREENSHOTS=1 takes those of the documentation,
// SCREENSHOTS=all takes every page in every state, language and shape into
// test-results/gallery, to look at after a change; see playwright.config.js.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startApplication } from '../harness/application.js'
import { expect, startBitjang, test as base } from '../harness/fixtures.js'
import { text } from '../harness/texts.js'
import { codeOf } from '../harness/totp.js'

const all = process.env.SCREENSHOTS === 'all'
const folder = fileURLToPath(new URL(all ? '../test-results/gallery/' : '../../../docs/screenshots/', import.meta.url))

const shapes = {
  light: { viewport: { width: 1200, height: 750 }, colorScheme: 'light' },
  dark: { viewport: { width: 1200, height: 750 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true },
  ...(all && { 'phone-dark': { viewport: { width: 320, height: 568 }, colorScheme: 'dark', isMobile: true, hasTouch: true } }),
}

const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
const others = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0',
]

const password = 'plain-orchid-71-harbour'
const people = { en: { email: 'minji@example.com', name: 'Minji', password }, ko: { email: 'jiho@example.com', name: '지호', password } }
const long = {
  email: `${'the-one-and-only-'.repeat(3)}minji@a-rather-long-department-name.example.com`,
  name: 'Maximiliane Hieronyma Freifrau von Wolfeschlegelsteinhausenbergerdorff 김수한무거북이와두루미', password,
}

// The pages that the documentation shows in every shape, as far as a screen
// goes; of the others it has the whole page, in English on a desktop and in
// Korean on a phone. What is only another state of a page is for the gallery.
const always = { en: ['login', 'signup', 'not-me', 'mail', 'account', 'security', 'app', 'activity'], ko: ['login', 'mail', 'activity'] }
const other = { en: 'light', ko: 'phone' }
const never = /-wrong$|-rename$|^mails$|^mail-text$|^profile-saved$/

// visitor sends what forms would, in a language.
const visitor = (own, lang) => {
  const post = (path, fields, headers = {}) => fetch(own.url + path, {
    method: 'POST', body: new URLSearchParams(fields), redirect: 'manual', headers: { 'Accept-Language': lang, ...headers },
  })
  const get = async (path) => (await fetch(own.url + path, { headers: { 'Accept-Language': lang } })).text()
  // mailed finds a mail of a kind in the mailbox and returns its id and its text.
  const mailed = async (kind, to) => {
    const subject = text(lang, `mail.${kind}.subject`, { Service: 'Bitjang' })
    for (let tries = 0; tries < 100; tries++) {
      const line = (await get('/dev/mail')).split('<li>').find((l) => l.includes(subject) && l.includes(to.email))
      const id = line && /\/dev\/mail\/(\d+)/.exec(line)[1]
      if (id) return { id, text: await get(`/dev/mail/${id}`) }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`no mail "${subject}"`)
  }
  const tokenOf = (mail) => /token=([\w-]+)/.exec(mail.text)[1]
  const enlist = async (person) => {
    await post('/signup', person)
    await post('/account/verify-email', { token: tokenOf(await mailed('verify_email', person)) })
  }
  return { post, mailed, tokenOf, enlist }
}

// seed makes somebody with three devices, one of which is the browser's to be.
async function seed(own, lang, person) {
  const { post, mailed, tokenOf, enlist } = visitor(own, lang)
  await enlist(person)
  const first = await post('/login', person, { 'User-Agent': chrome })
  await post('/logout', {}, { Cookie: first.headers.getSetCookie().map((c) => c.split(';')[0]).join('; ') })
  for (const agent of others) expect((await post('/login', person, { 'User-Agent': agent })).status).toBe(303)
  const warning = await mailed('new_device', person)
  return { ...person, warning: { id: warning.id, token: tokenOf(warning) } }
}

// steal brings the session of a browser on hold: its token is used again when it
// is old.
async function steal(own, context) {
  const jar = Object.fromEntries((await context.cookies(own.url)).map((c) => [c.name, c.value]))
  const refresh = async (token) => (await fetch(`${own.url}/v1/refresh`, {
    method: 'POST', body: JSON.stringify({ refresh_token: token }),
    headers: { 'Content-Type': 'application/json', 'User-Agent': chrome, 'Device-Id': jar['__Host-bitjang_device'] },
  })).json()
  const first = jar['__Host-bitjang_rt']
  await refresh((await refresh(first)).refresh_token)
  await new Promise((resolve) => setTimeout(resolve, 1_500)) // longer than the grace
  expect((await refresh(first)).code).toBe('step_up_required')
}

const test = base.extend({
  // One Bitjang without a mail server, whose mails are at /dev/mail.
  own: [async ({}, use) => {
    const own = await startBitjang({ BITJANG_ACCESS_TTL: '10m', BITJANG_ON_REUSE: 'hold', BITJANG_ROTATION_GRACE: '1s' })
    const en = await seed(own, 'en', people.en)
    const ko = await seed(own, 'ko', people.ko)
    if (all) own.long = await seed(own, 'en', long)
    await use({ ...own, en, ko })
    await own.stop()
  }, { scope: 'worker' }],
})

test.describe.configure({ mode: 'serial', timeout: 120_000 }) // one Bitjang for all

// camera is a browser, and what it is used for.
async function camera(browser, own, shape, lang) {
  mkdirSync(folder, { recursive: true })
  const context = await browser.newContext({
    baseURL: own.url, locale: lang === 'en' ? 'en-US' : 'ko-KR', timezoneId: 'UTC', userAgent: chrome, reducedMotion: 'reduce', ...shapes[shape],
  })
  const page = await context.newPage()
  const shoot = async (name) => {
    const main = !all && always[lang].includes(name)
    if (!all && !main && (shape !== other[lang] || never.test(name))) return
    await page.screenshot({
      path: `${folder}${name}${lang === 'en' ? '' : `-${lang}`}-${shape}.png`, fullPage: !main, animations: 'disabled', caret: 'hide',
    })
  }
  const at = async (name, path) => {
    await page.goto(path)
    await shoot(name)
  }
  const send = async (name, fields, form = 'main form:not([action="/login/passkey"])') => {
    for (const [field, value] of Object.entries(fields)) await page.locator(`${form} [name="${field}"]`).fill(value)
    await page.locator(`${form} button`).last().click()
    if (name) await shoot(name)
  }
  const logIn = async (person, to = '/account') => {
    await page.goto('/login')
    await send('', { email: person.email, password })
    await expect(page).toHaveURL(to)
  }
  const logOut = () => page.getByRole('navigation').getByRole('button').click()
  return { context, page, shoot, at, send, logIn, logOut }
}

const views = Object.keys(shapes).flatMap((shape) => ['en', 'ko'].map((lang) => [shape, lang]))

for (const [shape, lang] of views) {
  test(`${shape}, ${lang}`, async ({ browser, own }) => {
    const { context, page, shoot, at, send, logIn, logOut } = await camera(browser, own, shape, lang)
    const me = own[lang]
    await at('login', '/login')
    await at('signup', '/signup')
    await at('not-me', `/account/not-me?token=${me.warning.token}`)
    await at('mail', `/dev/mail/${me.warning.id}/body`)
    await page.goto('/login')
    await send('login-wrong', { email: me.email, password: 'wrong' })
    await page.goto('/signup')
    await send('signup-wrong', { email: 'new@example.com', password: 'password1' })
    await send('signup-done', { email: me.email, password })
    await at('verify', '/account/verify-email?token=x')
    await send('verify-wrong', {})
    await at('forgot', '/login/forgot-password')
    await send('forgot-sent', { email: all ? long.email : me.email })
    await at('reset', '/login/reset-password?token=x')
    await send('reset-wrong', { password: 'password1' })
    await at('link', '/login/link')
    await send('link-sent', { email: me.email })
    await at('link-use', '/login/link?token=x')
    await at('missing', '/no/such/page')
    await at('mails', '/dev/mail')
    await at('mail-text', `/dev/mail/${me.warning.id}`)
    await logIn(me)
    await shoot('account')
    await at('security', '/account/security')
    await at('app', '/account/factors/totp')
    await page.goto('/account/activity')
    await expect(page.locator('ul.devices > li')).toHaveCount(3)
    await shoot('activity')
    await page.locator('summary').nth(1).click()
    await shoot('activity-rename')
    await page.goto('/account/security')
    await send('security-wrong', { current_password: 'wrong', password: 'another-one-88' }, 'form[action="/account/password"]')
    await at('profile', '/account/profile')
    await send('profile-saved', { name: me.name })
    await at('delete', '/account/delete')
    await send('delete-wrong', { current_password: 'wrong' })
    await at('logout', '/logout')
    await page.goto('/account')
    await logOut() // so that the next run shows three devices too
    await shoot('logged-out')
    if (all && lang === 'en') {
      await logIn(own.long)
      await shoot('long-account')
      await at('long-activity', '/account/activity')
      await at('long-security', '/account/security')
      await logOut()
    }
    await context.close()
  })
}

// Behind all of the above: the mailbox keeps fifty mails.
for (const [shape, lang] of views) {
  test(`${shape}, ${lang}: second factors and a hold`, async ({ browser, own }) => {
    const { context, page, shoot, at, send, logIn, logOut } = await camera(browser, own, shape, lang)
    const { enlist, mailed } = visitor(own, lang)
    const me = { ...people[lang], email: `${people[lang].email.replace('@', `.${shape}@`)}` }
    await enlist(me)
    const cdp = await context.newCDPSession(page)
    await cdp.send('WebAuthn.enable', { enableUI: false })
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    })

    await logIn(me)
    await steal(own, context)
    await page.goto('/account/activity')
    await shoot('hold')
    await page.locator('form[action="/login/code"] button').click()
    await expect(page.locator('#code')).toBeVisible()
    await shoot('hold-code')
    await page.locator('#code').fill(/\b\d{6}\b/.exec((await mailed('code', me)).text)[0])
    await page.locator('form[action="/login/step-up"] button').click()
    await expect(page).toHaveURL('/account/activity')
    await shoot('activity-after')

    await page.goto('/account/factors/totp')
    const secret = await page.locator('.setup code').innerText()
    await send('app-wrong', { code: '000000' })
    await page.locator('#name').fill(lang === 'en' ? 'My phone' : '내 휴대전화')
    await send('', { code: codeOf(secret, -1) })
    await expect(page).toHaveURL(/notice=factor_added/)
    await at('passkey', '/account/factors/passkey')
    await page.locator('form[data-passkey] button').click()
    await expect(page).toHaveURL(/notice=factor_added/)
    await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false }) // nobody touches it from now on
    await page.locator('form[action="/account/recovery-codes"] button').click()
    await expect(page.locator('.codes code')).toHaveCount(10)
    await shoot('codes')
    await at('security-factors', '/account/security')
    await logOut()

    await logIn(me, /step-up/)
    await shoot('prove-passkey')
    await at('prove-app', '/login/step-up?factor=totp')
    await send('prove-app-wrong', { code: '000000' }, 'form[action="/login/step-up"]')
    await at('prove-recovery', '/login/step-up?factor=recovery_code')
    await context.close()
  })
}

for (const [shape, lang] of views) {
  test(`an application, ${shape}, ${lang}`, async ({ browser, own }) => {
    const { context, page, shoot, at, logIn, logOut } = await camera(browser, own, shape, lang)
    const notes = await startApplication(own, lang === 'en' ? 'Orchard Notes' : '과수원 노트')
    await page.goto(`${notes.url}/start?scope=openid+profile+email+offline_access`)
    await shoot('application-login')
    await logIn(own[lang])
    await page.goto(`${notes.url}/start?scope=openid+profile+email+offline_access`)
    await shoot('consent')
    await page.locator('button[value="allow"]').click()
    await expect(page.locator('#who')).toHaveText(own[lang].email)
    await at('applications', '/account/applications')
    await at('application-logout', '/oauth2/logout')
    await at('application-unknown', '/oauth2/authorize?client_id=nobody')
    await page.goto('/account/applications')
    await page.locator('main button').last().click() // so that the next run is asked again
    await logOut()
    notes.stop()
    await context.close()
  })
}
