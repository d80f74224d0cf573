// Pictures of the pages for the documentation; see playwright.config.js.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, startBitjang, test as base } from '../harness/fixtures.js'
import { text } from '../harness/texts.js'

const folder = fileURLToPath(new URL('../../../docs/screenshots/', import.meta.url))

const shapes = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', deviceScaleFactor: 2, isMobile: true, hasTouch: true },
}

const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
const others = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0',
]

const minji = { email: 'minji@example.com', password: 'plain-orchid-71-harbour', name: 'Minji' }

const test = base.extend({
  // One Bitjang without a mail server, whose mails are at /dev/mail.
  own: [async ({}, use) => {
    const own = await startBitjang({ BITJANG_ACCESS_TTL: '10m' })
    const post = (path, fields, headers = {}) => fetch(own.url + path, {
      method: 'POST', body: new URLSearchParams(fields), redirect: 'manual', headers: { 'Accept-Language': 'en', ...headers },
    })
    const get = async (path) => (await fetch(own.url + path, { headers: { 'Accept-Language': 'en' } })).text()
    // mailed finds a mail of a kind in the mailbox and returns its id and its token.
    const mailed = async (kind) => {
      const subject = text('en', `mail.${kind}.subject`, { Service: 'Bitjang' })
      for (let tries = 0; tries < 100; tries++) {
        const line = (await get('/dev/mail')).split('<li>').find((l) => l.includes(subject))
        const id = line && /\/dev\/mail\/(\d+)/.exec(line)[1]
        if (id) return { id, token: /token=([\w-]+)/.exec(await get(`/dev/mail/${id}`))[1] }
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      throw new Error(`no mail "${subject}"`)
    }
    await post('/signup', minji)
    await post('/account/verify-email', { token: (await mailed('verify_email')).token })
    await post('/login', minji, { 'User-Agent': chrome })
    for (const agent of others) expect((await post('/login', minji, { 'User-Agent': agent })).status).toBe(303)
    const warning = await mailed('new_device')
    await use({ ...own, warning, post })
    await own.stop()
  }, { scope: 'worker' }],
})

test.describe.configure({ mode: 'serial' }) // one Bitjang for all

for (const [shape, options] of Object.entries(shapes)) {
  for (const [lang, locale] of [['en', 'en-US'], ['ko', 'ko-KR']]) {
    test(`${shape}, ${lang}`, async ({ browser, own }) => {
      mkdirSync(folder, { recursive: true })
      const context = await browser.newContext({ baseURL: own.url, locale, timezoneId: 'UTC', userAgent: chrome, reducedMotion: 'reduce', ...options })
      const page = await context.newPage()
      const shoot = async (name) => {
        await page.evaluate(() => document.fonts.ready)
        await page.screenshot({
          path: `${folder}${name}${lang === 'en' ? '' : `-${lang}`}-${shape}.png`,
          animations: 'disabled', caret: 'hide', scale: 'device',
        })
      }
      const at = async (path, name) => {
        await page.goto(path)
        await shoot(name)
      }

      await at('/login', 'login')
      if (lang === 'en') {
        await at('/signup', 'signup')
        await at(`/account/not-me?token=${own.warning.token}`, 'not-me')
        await at(`/dev/mail/${own.warning.id}/body`, 'mail')
      }
      await page.goto('/login')
      await page.locator('#email').fill(minji.email)
      await page.locator('#password').fill(minji.password)
      await page.locator('main form button').click()
      await expect(page).toHaveURL('/account')
      if (lang === 'en') {
        await shoot('account')
        await at('/account/security', 'security')
      }
      await page.goto('/account/activity')
      await expect(page.locator('ul.devices > li')).toHaveCount(3)
      await shoot('activity')
      await page.getByRole('navigation').getByRole('button').click() // so that the next run shows three devices too
      await context.close()
    })
  }
}
