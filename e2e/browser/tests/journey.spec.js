import { readFile } from 'node:fs/promises'
import { expect, firefox, linkIn, safari, test } from '../harness/fixtures.js'
import { text } from '../harness/texts.js'

test.describe.configure({ timeout: 300_000 })

test('a whole life of an account', async ({ page, visitor, person, browserOf, mail, watch, t }) => {
  const minji = visitor(page, person)
  const second = visitor(await (await browserOf(firefox)).newPage(), person)
  watch.allow(400, 401) // what is refused on the way is asserted there

  await test.step('sign up, and nothing works before the address is verified', async () => {
    await minji.signUp()
    await expect(page.getByRole('main')).toContainText(t('signup.done.mail', { Email: person.email }))
    await page.goto('/login')
    await minji.typeLogin()
    await minji.refused()
  })

  await test.step('a mail scanner opens the link, and it stays good', async () => {
    const link = linkIn(await minji.mailed('verify_email'), '/account/verify-email')
    for (const method of ['HEAD', 'GET', 'GET', 'GET']) {
      expect((await fetch(link, { method })).status).toBe(200)
    }
    await page.goto(link)
    await minji.title('verify.title')
    await minji.button('verify.button').click()
    await minji.notice('verified')
  })

  await test.step('a link works once', async () => {
    await page.goto(linkIn(await minji.mailed('verify_email'), '/account/verify-email'))
    await minji.button('verify.button').click()
    await minji.problem('link_invalid')
    await expect(minji.button('verify.button')).toHaveCount(0)
  })

  let since = mail.mark()
  await test.step('log in in two browsers and see both', async () => {
    await minji.logIn()
    expect(mail.count(person.email, since), 'the first device is no news').toBe(0)
    await second.logIn()
    await second.mailed('new_device', since)
    await minji.nav('nav.activity').click()
    await expect(page.getByText(t('device.this'), { exact: true })).toHaveCount(1)
    await expect(minji.device('Firefox')).toHaveCount(1)
    await expect(minji.device('')).toHaveCount(2)
  })

  await test.step('name a device', async () => {
    const card = minji.device('Firefox')
    await card.getByText(t('device.rename')).click()
    await card.getByLabel(t('device.name')).fill('Laptop <b>&amp; 노트북')
    await card.getByRole('button', { name: t('device.save') }).click()
    await minji.notice('renamed')
    await expect(minji.device('Firefox').getByRole('heading')).toHaveText('Laptop <b>&amp; 노트북')
  })

  await test.step('end it, and it is out at its next page', async () => {
    await minji.device('Firefox').getByRole('button', { name: t('device.end') }).click()
    await minji.notice('session_ended')
    await expect(minji.device('')).toHaveCount(1)
    await second.isOutAt('/account/activity')
  })

  const old = person.password
  await test.step('forget the password, and choose a new one by mail', async () => {
    await second.logIn()
    await minji.logOut()
    since = mail.mark()
    await minji.link('login.forgot').click()
    await minji.field('field.email').fill(person.email)
    await minji.button('forgot.button').click()
    await expect(page.getByRole('main')).toContainText(t('mail.sent', { Email: person.email }))
    await page.goto(linkIn(await minji.mailed('reset_password', since), '/login/reset-password'))
    person.password = 'green-lantern-42-river'
    await minji.field('field.newpassword').fill(person.password)
    await minji.button('reset.button').click()
    await minji.notice('password_reset')
    await second.isOutAt('/account')
  })

  await test.step('the old password is refused, the new one is good', async () => {
    await minji.typeLogin(old)
    await minji.refused()
    await expect(minji.field('field.email')).toHaveValue(person.email)
    await minji.typeLogin()
    await minji.isIn()
    await minji.logOut()
  })

  await test.step('log in by mail, in the browser that asked and in no other', async () => {
    since = mail.mark()
    await minji.link('login.link').click()
    await minji.field('field.email').fill(person.email)
    await minji.button('link.button').click()
    await expect(page.getByRole('main')).toContainText(t('mail.sent', { Email: person.email }))
    const link = linkIn(await minji.mailed('login_link', since), '/login/link')
    await second.page.goto(link)
    await second.button('login.button').click()
    await second.problem('link_invalid')
    await second.isOutAt('/account')
    await page.goto(link)
    await minji.button('login.button').click()
    await minji.isIn()
  })

  await test.step('a stranger logs in; "this was not me" puts them out', async () => {
    since = mail.mark()
    const stranger = visitor(await (await browserOf(safari)).newPage(), person)
    await stranger.logIn()
    const warning = await minji.mailed('new_device', since)
    expect(warning.text).toContain('Safari')
    const link = linkIn(warning, '/account/not-me')
    for (let i = 0; i < 3; i++) expect((await fetch(link)).status).toBe(200)
    await stranger.page.goto('/account')
    await stranger.isIn()
    await page.goto(link)
    await minji.title('notme.title')
    await minji.button('notme.button').click()
    await minji.title('reset.title')
    await expect(page.getByRole('status')).toContainText('Safari')
    await stranger.isOutAt('/account')
    person.password = 'quiet-meadow-93-copper'
    await minji.field('field.newpassword').fill(person.password)
    await minji.button('reset.button').click()
    await minji.notice('password_reset')
  })

  await test.step('change the password; the other session ends, this one goes on', async () => {
    await minji.typeLogin()
    await minji.isIn()
    await second.logIn()
    since = mail.mark()
    await minji.nav('nav.security').click()
    await page.locator('form[action="/account/password"]').getByLabel(t('field.currentpassword')).fill(person.password)
    person.password = 'amber-window-58-sparrow'
    await minji.field('field.newpassword').fill(person.password)
    await minji.button('security.change').click()
    await minji.notice('password_changed')
    await minji.mailed('password_changed', since)
    await second.isOutAt('/account')
    await page.goto('/account')
    await minji.isIn()
  })

  await test.step('end all other sessions', async () => {
    await second.logIn()
    await minji.nav('nav.activity').click()
    await minji.button('activity.endothers').click()
    await minji.notice('others_ended')
    await expect(minji.device('')).toHaveCount(1)
    await second.isOutAt('/account')
  })

  await test.step('change the name', async () => {
    await minji.nav('nav.profile').click()
    person.name = 'Minji <i>Kim</i> 김민지'
    await minji.field('field.name').fill(person.name)
    await minji.button('profile.save').click()
    await minji.notice('profile_saved')
    await minji.nav('nav.home').click()
    await minji.isIn()
  })

  await test.step('download everything', async () => {
    const coming = page.waitForEvent('download')
    await minji.link('account.export').click()
    const download = await coming
    expect(download.suggestedFilename()).toMatch(/\.json$/)
    const everything = await readFile(await download.path(), 'utf8')
    expect(JSON.stringify(JSON.parse(everything))).toContain(person.email)
    expect(everything).not.toContain('$argon2')
  })

  await test.step('delete the account', async () => {
    since = mail.mark()
    await minji.link('delete.title').click()
    await minji.field('field.currentpassword').fill('not my password')
    await minji.button('delete.button').click()
    await minji.problem('current_password')
    await minji.field('field.currentpassword').fill(person.password)
    await minji.button('delete.button').click()
    await minji.notice('deleted')
    await minji.mailed('account_deletion', since)
    await minji.isOutAt('/account')
  })

  await test.step('logging in within the grace brings it back', async () => {
    await minji.logIn()
    await minji.nav('nav.activity').click()
    await expect(page.getByText(t('event.deletion_cancelled'))).toBeVisible()
    await minji.logOut()
    await minji.isOutAt('/account')
    await minji.logIn()
    await minji.logOut()
  })
})

test('a change of the mail address needs a yes from both addresses', async ({ page, visitor, person, mail, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const since = mail.mark()
  const before = person.email
  const after = before.replace('minji', 'new')
  await minji.nav('nav.security').click()
  const form = page.locator('form[action="/account/email"]')
  await form.getByLabel(t('field.newemail')).fill(after)
  await form.getByLabel(t('field.currentpassword')).fill(person.password)
  await form.getByRole('button', { name: t('security.emailbutton') }).click()
  await minji.notice('email_asked')
  await page.goto(linkIn(await minji.mailed('email_change', since), '/account/change-email'))
  await minji.button('emailchange.button').click()
  await minji.notice('email_half')
  await expect(page.getByText(before)).toBeVisible()
  await page.goto(linkIn(await mail.next(after, since, minji.subject('email_change_new')), '/account/change-email'))
  await minji.button('emailchange.button').click()
  await minji.notice('email_changed')
  await expect(page.getByText(after)).toBeVisible()
  await minji.mailed('email_changed', since)
  await minji.logOut()
  person.email = after
  await minji.logIn()
})

test('a language that is chosen stays chosen, for mails too', async ({ page, visitor, person, lang, mail }) => {
  const other = lang === 'en' ? 'ko' : 'en'
  const name = { en: 'English', ko: '한국어' }[other]
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.getByRole('contentinfo').getByRole('button', { name }).click()
  await expect(page).toHaveURL('/account')
  await expect(page.locator('html')).toHaveAttribute('lang', other)
  const since = mail.mark()
  const elsewhere = await page.request.post('/login/forgot-password', { form: { email: person.email }, headers: { 'Accept-Language': lang } })
  expect(elsewhere.status()).toBe(200)
  await mail.next(person.email, since, text(other, 'mail.reset_password.subject', { Service: 'Bitjang' }))
})
