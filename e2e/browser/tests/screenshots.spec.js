// Pictures of the pages: SCREENSHOTS=1 takes those of the documentation,
// SCREENSHOTS=all takes every page in every state, language and shape into
// test-results/gallery, to look at after a change; see playwright.config.js.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, startBitjang, test as base } from '../harness/fixtures.js'
import { text } from '../harness/texts.js'

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

// seed makes somebody with three devices, one of which is the browser's to be.
async function seed(own, lang, person) {
  const post = (path, fields, headers = {}) => fetch(own.url + path, {
    method: 'POST', body: new URLSearchParams(fields), redirect: 'manual', headers: { 'Accept-Language': lang, ...headers },
  })
  const get = async (path) => (await fetch(own.url + path, { headers: { 'Accept-Language': lang } })).text()
  // mailed finds a mail of a kind in the mailbox and returns its id and its token.
  const mailed = async (kind) => {
    const subject = text(lang, `mail.${kind}.subject`, { Service: 'Bitjang' })
    for (let tries = 0; tries < 100; tries++) {
      const line = (await get('/dev/mail')).split('<li>').find((l) => l.includes(subject) && l.includes(person.email))
      const id = line && /\/dev\/mail\/(\d+)/.exec(line)[1]
      if (id) return { id, token: /token=([\w-]+)/.exec(await get(`/dev/mail/${id}`))[1] }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`no mail "${subject}"`)
  }
  await post('/signup', person)
  await post('/account/verify-email', { token: (await mailed('verify_email')).token })
  const first = await post('/login', person, { 'User-Agent': chrome })
  await post('/logout', {}, { Cookie: first.headers.getSetCookie().map((c) => c.split(';')[0]).join('; ') })
  for (const agent of others) expect((await post('/login', person, { 'User-Agent': agent })).status).toBe(303)
  return { ...person, warning: await mailed('new_device') }
}

const test = base.extend({
  // One Bitjang without a mail server, whose mails are at /dev/mail.
  own: [async ({}, use) => {
    const own = await startBitjang({ BITJANG_ACCESS_TTL: '10m' })
    const en = await seed(own, 'en', people.en)
    const ko = await seed(own, 'ko', people.ko)
    if (all) own.long = await seed(own, 'en', long)
    await use({ ...own, en, ko })
    await own.stop()
  }, { scope: 'worker' }],
})

test.describe.configure({ mode: 'serial', timeout: 120_000 }) // one Bitjang for all

for (const [shape, options] of Object.entries(shapes)) {
  for (const [lang, locale] of [['en', 'en-US'], ['ko', 'ko-KR']]) {
    test(`${shape}, ${lang}`, async ({ browser, own }) => {
      mkdirSync(folder, { recursive: true })
      const context = await browser.newContext({ baseURL: own.url, locale, timezoneId: 'UTC', userAgent: chrome, reducedMotion: 'reduce', ...options })
      const page = await context.newPage()
      const shoot = (name) => page.screenshot({
        path: `${folder}${name}${lang === 'en' ? '' : `-${lang}`}-${shape}.png`, fullPage: all, animations: 'disabled', caret: 'hide',
      })
      const at = async (name, path) => {
        await page.goto(path)
        await shoot(name)
      }
      const send = async (name, fields, form = 'main form:not([action="/login/passkey"])') => {
        for (const [field, value] of Object.entries(fields)) await page.locator(`${form} [name="${field}"]`).fill(value)
        await page.locator(`${form} button`).last().click()
        if (name) await shoot(name)
      }
      const logIn = async (person) => {
        await page.goto('/login')
        await send('', { email: person.email, password })
        await expect(page).toHaveURL('/account')
      }
      const me = own[lang]

      await at('login', '/login')
      if (lang === 'en' || all) {
        await at('signup', '/signup')
        await at('not-me', `/account/not-me?token=${me.warning.token}`)
      }
      await at('mail', `/dev/mail/${me.warning.id}/body`)
      if (all) {
        await page.goto('/login')
        await send('login-wrong', { email: me.email, password: 'wrong' })
        await page.goto('/signup')
        await send('signup-wrong', { email: 'new@example.com', password: 'password1' })
        await send('signup-done', { email: me.email, password })
        await at('verify', '/account/verify-email?token=x')
        await send('verify-wrong', {})
        await at('forgot', '/login/forgot-password')
        await send('forgot-sent', { email: long.email })
        await at('reset', '/login/reset-password?token=x')
        await send('reset-wrong', { password: 'password1' })
        await at('link', '/login/link')
        await send('link-sent', { email: me.email })
        await at('link-use', '/login/link?token=x')
        await at('logout', '/logout')
        await at('missing', '/no/such/page')
        await at('mails', '/dev/mail')
        await at('mail-text', `/dev/mail/${me.warning.id}`)
      }
      await logIn(me)
      if (lang === 'en' || all) {
        await shoot('account')
        await at('security', '/account/security')
        await at('app', '/account/factors/totp')
      }
      await page.goto('/account/activity')
      await expect(page.locator('ul.devices > li')).toHaveCount(3)
      await shoot('activity')
      if (all) {
        await page.locator('summary').nth(1).click()
        await shoot('activity-rename')
        await page.goto('/account/security')
        await send('security-wrong', { current_password: 'wrong', password: 'another-one-88' }, 'form[action="/account/password"]')
        await at('profile', '/account/profile')
        await send('profile-saved', { name: me.name })
        await at('delete', '/account/delete')
        await send('delete-wrong', { current_password: 'wrong' })
      }
      await page.getByRole('navigation').getByRole('button').click() // so that the next run shows three devices too
      if (all && lang === 'en') {
        await shoot('logged-out')
        await logIn(own.long)
        await shoot('long-account')
        await at('long-activity', '/account/activity')
        await at('long-security', '/account/security')
        await page.getByRole('navigation').getByRole('button').click()
      }
      await context.close()
    })
  }
}
