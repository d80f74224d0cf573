import { expect, test } from '../harness/fixtures.js'

test.use({ settings: { BITJANG_ON_REUSE: 'hold', BITJANG_ROTATION_GRACE: '1s', BITJANG_ACCESS_TTL: '1s' } })

test('a session on hold asks its owner in plain words, and goes on', async ({ page, context, visitor, person, mail, t, bitjang }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  const stolen = (await context.cookies()).filter((c) => c.name === '__Host-bitjang_rt')[0].value
  for (let i = 0; i < 3; i++) {
    await page.waitForTimeout(1_500)
    await page.goto('/account/activity')
  }
  const theft = await fetch(`${bitjang.url}/v1/refresh`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'user-agent': 'curl/8' }, body: JSON.stringify({ refresh_token: stolen }),
  })
  expect(theft.status).toBe(403)
  await page.waitForTimeout(1_200)
  await page.goto('/account/profile')
  await minji.title('prove.title.hold')
  await expect(page.locator('main')).toContainText(t('held.refresh_token_reuse'))
  const since = mail.mark()
  await minji.button('prove.send').click()
  const letter = await minji.mailed('code', since)
  await page.locator('#code').fill(letter.text.match(/\b\d{6}\b/)[0])
  await minji.button('prove.button').click()
  await minji.title('profile.title')
})
