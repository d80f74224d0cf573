import { chromium } from '@playwright/test'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '../harness/fixtures.js'

const ttl = 1_000
const accessCookie = '__Host-bitjang_at'
const refreshCookie = '__Host-bitjang_rt'

test.use({ settings: { BITJANG_ACCESS_TTL: `${ttl}ms` } })

const cookie = async (context, name) => (await context.cookies()).find((c) => c.name === name)?.value

// expired waits until the access token is of no use any more.
const expired = () => sleep(ttl + 100)

test('two tabs reload at once with an expired access token, ten times, and nobody is logged out', async ({ page, context, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const tab = await context.newPage()
  await tab.goto('/account/activity')
  await page.goto('/account/activity')
  const seen = new Set()
  for (let i = 0; i < 10; i++) {
    await expired()
    expect(await cookie(context, accessCookie), 'the browser has dropped the access token').toBeUndefined()
    await Promise.all([page.reload(), tab.reload()])
    for (const p of [page, tab]) {
      await expect(p).toHaveURL('/account/activity')
      await expect(p.getByRole('heading', { level: 1 })).toHaveText(t('activity.title'))
    }
    seen.add(await cookie(context, refreshCookie))
  }
  expect(seen.size, 'each round was a refresh').toBe(10)
  await expect(minji.device('')).toHaveCount(1)
})

test('a page that was open for longer than the access token lives goes on', async ({ page, context, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await expired()
  expect(await cookie(context, accessCookie)).toBeUndefined()
  await minji.nav('nav.profile').click()
  await minji.title('profile.title')
  await minji.field('field.name').fill('Minji Kim')
  await expired()
  expect(await cookie(context, accessCookie)).toBeUndefined()
  await minji.button('profile.save').click() // a form, sent with nothing but the refresh token
  await minji.notice('profile_saved')
  await expired()
  await minji.nav('nav.security').click()
  await page.locator('form[action="/account/password"]').getByLabel(t('field.currentpassword')).fill(person.password)
  await minji.field('field.newpassword').fill('green-lantern-42-river')
  await expired()
  await minji.button('security.change').click()
  await minji.notice('password_changed')
  person.name = 'Minji Kim'
  await page.goto('/account')
  await minji.isIn()
})

for (const cached of [false, true]) {
  test(`after a log-out "back" shows nothing private, ${cached ? 'with' : 'without'} a back/forward cache`, async ({ bitjang, locale, launchOptions, watch, visitor, person, t }) => {
    // Playwright switches the cache off; people's browsers have it.
    const browser = await chromium.launch({ ...launchOptions, ignoreDefaultArgs: cached ? ['--disable-back-forward-cache'] : [] })
    try {
      const context = watch.context(await browser.newContext({ baseURL: bitjang.url, locale }))
      const page = await context.newPage()
      const minji = visitor(page, person)
      await minji.signUpAndVerify()
      await minji.logIn()
      await minji.nav('nav.activity').click()
      await minji.title('activity.title')
      await minji.logOut()
      for (const where of ['the devices', 'the account']) {
        // A page out of the cache has no load to wait for, as page.goBack does.
        const left = page.waitForEvent('framenavigated')
        await page.evaluate(() => { history.back() })
        await left
        await expect(page.getByRole('heading', { level: 1 }), `back to ${where}`).toHaveText(t('login.title'))
        await expect(page.getByRole('navigation')).toHaveCount(0)
        expect(await page.content()).not.toContain(person.name)
      }
    } finally {
      await browser.close()
    }
  })
}

test('who is logged in and opens the login page is led on', async ({ page, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto('/login')
  await minji.isIn()
  await page.goto('/login?return_to=/account/profile')
  await minji.title('profile.title')
  await page.goto('/')
  await minji.isIn()
  await page.goto('/logout')
  await expect(page).toHaveTitle(new RegExp(t('logout.title').replace('?', '\\?')))
  await page.goto('/account')
  await minji.isIn() // opening the page ended nothing
})

test('after logging in one is where one wanted to be', async ({ page, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.isOutAt('/account/activity?before=0')
  await minji.typeLogin()
  await minji.title('activity.title')
  await expect(page).toHaveURL('/account/activity?before=0')
  await expect(page.getByText(t('event.signup'))).toBeVisible()
})
