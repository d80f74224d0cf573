import AxeBuilder from '@axe-core/playwright'
import { expect, firefox, linkIn, startBitjang, test } from '../harness/fixtures.js'
import { codeOf } from '../harness/totp.js'

test.describe.configure({ timeout: 180_000 })

const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const pageBudget = 50_000

// Inspection looks at pages one after the other and collects what is wrong, so
// that one run names everything.
class Inspection {
  constructor(page, lang) {
    Object.assign(this, { page, lang, problems: [], titles: new Map() })
  }

  // visit opens a page, counting its bytes with nothing cached.
  async visit(name, path) {
    const devtools = await this.page.context().newCDPSession(this.page)
    await devtools.send('Network.enable')
    await devtools.send('Network.setCacheDisabled', { cacheDisabled: true })
    let bytes = 0
    devtools.on('Network.loadingFinished', (e) => { bytes += e.encodedDataLength })
    await this.page.goto(path, { waitUntil: 'load' })
    await devtools.detach()
    if (bytes === 0 || bytes >= pageBudget) this.problems.push(`${name}: ${bytes} bytes`)
    await this.look(name)
  }

  // look inspects the page that is open. Pages of one name may share a title.
  async look(name) {
    const { page } = this
    const closed = page.locator('details:not([open]) > summary')
    for (let n = await closed.count(); n > 0; n--) await closed.first().click()

    const title = await page.title()
    if (!title.trim()) this.problems.push(`${name}: no title`)
    const other = this.titles.get(title) ?? name
    if (other !== name) this.problems.push(`${name}: has the title of ${other}, "${title}"`)
    this.titles.set(title, name)
    const lang = await page.locator('html').getAttribute('lang')
    if (lang !== this.lang) this.problems.push(`${name}: lang="${lang}"`)

    await page.emulateMedia({ colorScheme: 'light' })
    await this.axe(name, 'light', (axe) => axe.withTags(tags))
    // Only colours can differ in the dark.
    await page.emulateMedia({ colorScheme: 'dark' })
    await this.axe(name, 'dark', (axe) => axe.withRules(['color-contrast', 'link-in-text-block']))

    const before = page.viewportSize()
    await page.setViewportSize({ width: 320, height: before.height })
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    if (width > 320) this.problems.push(`${name}: ${width} px wide at 320 px`)
    await page.setViewportSize(before)
  }

  async axe(name, scheme, choose) {
    // Legacy mode needs no second page to gather frames in; here are none.
    const { violations } = await choose(new AxeBuilder({ page: this.page }).setLegacyMode()).analyze()
    for (const v of violations) {
      for (const node of v.nodes) {
        this.problems.push(`${name}, ${scheme}: ${v.id}: ${v.help}: ${node.html.slice(0, 160)} (${node.any[0]?.message ?? ''})`)
      }
    }
  }
}

test('every page for strangers is accessible, small and titled', async ({ page, visitor, person, lang, mail, watch, t }) => {
  watch.allow(400, 401, 404, 405)
  const look = new Inspection(page, lang)
  const minji = visitor(page, person)

  await look.visit('login', '/login')
  await minji.typeLogin('wrong-password-7')
  await minji.refused()
  await look.look('login')

  await look.visit('signup', '/signup')
  await minji.field('field.email').fill(person.email)
  await minji.password().fill('password1')
  await minji.button('signup.button').click()
  await minji.problem('password_common')
  await look.look('signup')
  await minji.signUp()
  await look.look('signup, done')

  await look.visit('verify', linkIn(await minji.mailed('verify_email'), '/account/verify-email'))
  await minji.button('verify.button').click()
  await minji.notice('verified')
  await look.look('login') // with a notice
  await page.goto('/account/verify-email?token=bjl_nonsense')
  await minji.button('verify.button').click()
  await minji.problem('link_invalid')
  await look.look('verify')

  let since = mail.mark()
  await look.visit('forgot', '/login/forgot-password')
  await minji.field('field.email').fill(person.email)
  await minji.button('forgot.button').click()
  await expect(page.getByText(t('mail.sent', { Email: person.email }))).toBeVisible()
  await look.look('forgot')
  await look.visit('reset', linkIn(await minji.mailed('reset_password', since), '/login/reset-password'))
  await minji.field('field.newpassword').fill('password1')
  await minji.button('reset.button').click()
  await minji.problem('password_common')
  await look.look('reset')

  since = mail.mark()
  await look.visit('login by mail', '/login/link')
  await minji.field('field.email').fill(person.email)
  await minji.button('link.button').click()
  await expect(page.getByText(t('mail.sent', { Email: person.email }))).toBeVisible()
  await look.look('login by mail')
  await look.visit('login by mail', linkIn(await minji.mailed('login_link', since), '/login/link'))
  await page.goto('/login/link?token=bjl_nonsense')
  await minji.button('login.button').click()
  await minji.problem('link_invalid')
  await look.look('login by mail')

  await look.visit('not me', '/account/not-me?token=bjl_nonsense')
  await minji.button('notme.button').click()
  await minji.problem('link_invalid')
  await look.look('not me')
  await look.visit('change of address', '/account/change-email?token=bjl_nonsense')
  await minji.button('emailchange.button').click()
  await minji.problem('link_invalid')
  await look.look('change of address')
  await look.visit('log out', '/logout')

  const missing = await page.goto('/no/such/page')
  expect(missing.status()).toBe(404)
  expect(missing.headers()['content-type']).toContain('text/html')
  await minji.title('problem.missing.title')
  await look.visit('missing', '/no/such/page')

  expect(look.problems).toEqual([])
})

test('every page of the account is accessible, small and titled', async ({ page, visitor, person, browserOf, lang, mail, watch, t }) => {
  watch.allow(400, 401, 404, 405)
  const look = new Inspection(page, lang)
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const since = mail.mark()
  await visitor(await (await browserOf(firefox)).newPage(), person).logIn()

  await look.visit('account', '/account')
  await look.visit('activity', '/account/activity')
  await minji.device('Firefox').getByRole('link', { name: t('device.notme') }).click()
  await minji.title('notme.title')
  await look.look('not me')
  await page.goto('/account/sessions/00000000-0000-4000-8000-000000000000/end')
  await look.look('missing')

  await look.visit('security', '/account/security')
  const password = page.locator('form[action="/account/password"]')
  await password.getByLabel(t('field.currentpassword')).fill('wrong-password-7')
  await password.getByLabel(t('field.newpassword')).fill('another-one-88')
  await minji.button('security.change').click()
  await minji.problem('current_password')
  await look.look('security')
  await password.getByLabel(t('field.currentpassword')).fill(person.password)
  await password.getByLabel(t('field.newpassword')).fill('password1')
  await minji.button('security.change').click()
  await minji.problem('password_common')
  await look.look('security')
  const email = page.locator('form[action="/account/email"]')
  await email.getByLabel(t('field.newemail')).fill(person.email)
  await email.getByLabel(t('field.currentpassword')).fill(person.password)
  await email.getByRole('button').click()
  await minji.problem('email_unchanged')
  await look.look('security')

  await look.visit('factor', '/account/factors/totp')
  await page.locator('#code').fill('000000')
  await minji.button('setup.button').click()
  await minji.problem('code_invalid')
  await look.look('factor')
  await page.locator('#code').fill(codeOf(await page.locator('.setup code').innerText()))
  await minji.button('setup.button').click()
  await minji.notice('factor_added')
  await look.look('security')
  await minji.button('factor.codes').click()
  await minji.title('codes.title')
  await look.look('recovery codes')
  const stranger = visitor(await (await browserOf({})).newPage(), person)
  await stranger.page.goto('/login')
  await stranger.typeLogin()
  await stranger.title('prove.title.login')
  const asked = new Inspection(stranger.page, lang)
  await asked.look('second factor')
  await stranger.page.goto('/login/step-up?factor=recovery_code')
  await asked.look('second factor')
  expect(asked.problems).toEqual([])

  await look.visit('profile', '/account/profile')
  await minji.field('field.name').fill('가'.repeat(100))
  await minji.button('profile.save').click()
  await minji.problem('name_invalid')
  await look.look('profile')

  await look.visit('delete', '/account/delete')
  await minji.field('field.currentpassword').fill('wrong-password-7')
  await minji.button('delete.button').click()
  await minji.problem('current_password')
  await look.look('delete')

  await page.goto(linkIn(await minji.mailed('new_device', since), '/account/not-me'))
  await minji.button('notme.button').click()
  await minji.title('reset.title')
  await look.look('reset') // with the device that was put out
  expect(look.problems).toEqual([])
})

test('the page of mails for developers is accessible, small and titled', async ({ page, lang, watch, t }) => {
  const bitjang = await startBitjang()
  try {
    watch.permit(bitjang.url)
    const posted = await fetch(`${bitjang.url}/signup`, {
      method: 'POST', body: new URLSearchParams({ email: 'minji@example.com', password: 'plain-orchid-71-harbour', name: 'Minji' }),
      headers: { 'Accept-Language': lang },
    })
    expect(posted.status).toBe(200)
    const look = new Inspection(page, lang)
    const subject = t('mail.verify_email.subject', { Service: 'Bitjang' })
    await expect(async () => {
      await page.goto(`${bitjang.url}/dev/mail`)
      await expect(page.getByText(subject)).toBeVisible({ timeout: 500 })
    }).toPass({ timeout: 15_000 })
    await look.visit('mails', `${bitjang.url}/dev/mail`)
    await page.getByText(subject).click()
    await expect(page.locator('pre')).toContainText('/account/verify-email?token=')
    await look.look('mails')
    expect(look.problems).toEqual([])
  } finally {
    await bitjang.stop()
  }
})
