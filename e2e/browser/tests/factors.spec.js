import { expect, test } from '../harness/fixtures.js'
import { codeOf } from '../harness/totp.js'

// A virtual authenticator that answers at once, as a finger would.
async function authenticator(page) {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable', { enableUI: false })
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return { cdp, authenticatorId }
}

async function submit(page, visitor) {
  await page.goto('/login')
  await visitor.typeLogin()
}

// The last code is not accepted again, so the next login uses the next one.
async function addApp(page, visitor) {
  await page.goto('/account/security')
  await page.locator('a[href="/account/factors/totp"]').click()
  const secret = await page.locator('.setup code').innerText()
  await page.locator('#code').fill(codeOf(secret, -1))
  await page.locator('#name').fill('My phone')
  await visitor.button('setup.button').click()
  await visitor.notice('factor_added')
  return secret
}

test('an authenticator app, and a recovery code when it is gone', async ({ page, visitor, person, watch, t }) => {
  watch.allow(401) // a wrong code
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const secret = await addApp(page, minji)
  await expect(page.getByText('My phone')).toBeVisible()
  await minji.button('factor.codes').click()
  await minji.title('codes.title')
  const codes = await page.locator('.codes code').allInnerTexts()
  expect(codes).toHaveLength(10)
  await minji.logOut()

  await submit(page, minji)
  await minji.title('prove.title.login')
  await page.locator('#code').fill('000000')
  await minji.button('prove.button').click()
  await expect(page.getByRole('alert')).toHaveText(t('error.code_invalid'))
  await page.locator('#code').fill(codeOf(secret))
  await minji.button('prove.button').click()
  await minji.isIn()
  await minji.logOut()

  await submit(page, minji)
  await page.getByRole('link', { name: t('prove.other.recovery_code') }).click()
  await page.locator('#code').fill(codes[4].toUpperCase())
  await minji.button('prove.button').click()
  await minji.isIn()
})

test('a passkey as the second factor, and alone', async ({ page, context, visitor, person, t }) => {
  const { cdp, authenticatorId } = await authenticator(page)
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto('/account/security')
  await page.locator('a[href="/account/factors/passkey"]').click()
  await minji.title('setup.title.passkey')
  await minji.button('setup.passkey').click()
  await minji.notice('factor_added')
  await expect(page.locator('.factors')).toContainText(t('factor.passkey'))
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false }) // nobody touches it for now
  await minji.logOut()

  await submit(page, minji)
  await minji.title('prove.title.login')
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: true })
  await minji.button('prove.passkey').click()
  await minji.isIn()

  // Nobody types or clicks anything: the browser offers the passkey on the login page.
  await context.clearCookies()
  await page.goto('/login')
  await minji.isIn()
})

test('a browser that is remembered logs in without the app, and still needs it to change anything', async ({ page, visitor, person }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const secret = await addApp(page, minji)
  await minji.logOut()
  await submit(page, minji)
  await page.locator('#code').fill(codeOf(secret))
  await page.getByRole('checkbox').check()
  await minji.button('prove.button').click()
  await minji.isIn()
  await minji.logOut()
  await submit(page, minji) // this browser is remembered
  await minji.isIn()
  await page.goto('/account/factors/totp') // but that is no proof for changing factors
  await minji.title('prove.title.step_up')
})
