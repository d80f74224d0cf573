import { expect, firefox, linkIn, test } from '../harness/fixtures.js'

test.use({ javaScriptEnabled: false })

test('everything that matters works without JavaScript', async ({ page, visitor, person, browserOf, mail, watch, t }) => {
  const minji = visitor(page, person)
  const second = visitor(await (await browserOf({ ...firefox, javaScriptEnabled: false })).newPage(), person)
  watch.allow(401)
  await minji.signUpAndVerify()
  await minji.logIn()
  await second.logIn()
  await minji.nav('nav.activity').click()
  await expect(page.locator('time').first()).toContainText(/UTC/)
  await minji.device('Firefox').getByText(t('device.rename')).click()
  await minji.device('Firefox').getByLabel(t('device.name')).fill('Attic')
  await minji.device('Firefox').getByRole('button', { name: t('device.save') }).click()
  await minji.notice('renamed')
  await minji.device('Attic').getByRole('button', { name: t('device.end') }).click()
  await minji.notice('session_ended')
  await second.isOutAt('/account')
  await minji.logOut()

  const since = mail.mark()
  await minji.link('login.forgot').click()
  await minji.field('field.email').fill(person.email)
  await minji.button('forgot.button').click()
  await page.goto(linkIn(await minji.mailed('reset_password', since), '/login/reset-password'))
  const old = person.password
  person.password = 'green-lantern-42-river'
  await minji.field('field.newpassword').fill(person.password)
  await minji.button('reset.button').click()
  await minji.notice('password_reset')
  await minji.typeLogin(old)
  await minji.refused()
  await minji.typeLogin()
  await minji.isIn()
})
