// examples/login-browser: oidc-client-ts, as it comes from npm, on another site.
import { startExample } from '../harness/example.js'
import { expect, test as base } from '../harness/fixtures.js'

const test = base.extend({
  // One for the whole worker: a new origin is known after a moment only.
  example: [async ({ bitjang }, use) => {
    const example = await startExample(bitjang, 'login-browser', ['--public'])
    await use(example)
    await example.stop()
  }, { scope: 'worker' }],

  // notes is the page, with somebody logged in.
  notes: async ({ page, visitor, person, example, watch }, use) => {
    watch.permit(example.url)
    const minji = visitor(page, person)
    await minji.signUpAndVerify()
    await page.goto(example.url)
    await expect(page.locator('#user')).toHaveText('nobody')
    await page.locator('#login').click()
    await minji.typeLogin()
    await minji.button('consent.allow').click()
    await expect(page.locator('#user')).toHaveText(/^[0-9a-f-]{36}$/)
    await expect(page).toHaveURL(example.url)
    await use(page)
  },
})

async function whoAmI(page) {
  await page.locator('#answer').evaluate((p) => { p.textContent = '' })
  await page.locator('#call').click()
  await expect(page.locator('#answer')).not.toHaveText('')
  return page.locator('#answer').textContent()
}

// stored is what the library keeps.
const stored = (page) => page.evaluate(() => JSON.parse(Object.entries(localStorage).find(([k]) => k.startsWith('oidc.user:'))?.[1] ?? 'null'))
const tokens = async (page) => Number(await page.locator('#tokens').textContent())

// exchange uses a refresh token as somebody else would who had it.
async function exchange(bitjang, example, token) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: example.id, refresh_token: token })
  return (await fetch(`${bitjang.url}/oauth2/token`, { method: 'POST', body })).json()
}

const userInfo = (bitjang, token) => fetch(`${bitjang.url}/oauth2/userinfo`, { headers: { authorization: `Bearer ${token}` } })

test('a page on another site logs somebody in, refreshes by itself, and logs out', async ({ notes, person, bitjang, example }) => {
  const first = await stored(notes)
  expect(await whoAmI(notes)).toBe(`200 ${person.email}`)
  await expect.poll(() => tokens(notes), 'tokens renewed in silence').toBeGreaterThan(3)
  const last = await stored(notes)
  expect(last.refresh_token).not.toBe(first.refresh_token)
  await expect.poll(async () => (await userInfo(bitjang, first.access_token)).status, 'the first access token, expired').toBe(401)
  expect(await whoAmI(notes)).toBe(`200 ${person.email}`)

  await notes.reload() // a tab that begins anew goes on with what is stored
  await expect(notes.locator('#user')).toHaveText(first.profile.sub)

  const kept = await stored(notes)
  await notes.locator('#logout').click()
  await expect(notes.locator('#user')).toHaveText('nobody')
  await expect(notes).toHaveURL(example.url)
  expect(await stored(notes)).toBe(null)
  expect((await userInfo(bitjang, kept.access_token)).status).toBe(401)
  expect((await exchange(bitjang, example, kept.refresh_token)).error).toBe('invalid_grant')
  await notes.goto(`${bitjang.url}/account`)
  await expect(notes).toHaveURL(/\/login\?/) // Bitjang's own login has ended too
})

test('two tabs refresh with the same token, nobody is logged out, and both log out together', async ({ notes, context, person, bitjang, example }) => {
  const other = await context.newPage()
  await other.goto(example.url)
  await expect(other.locator('#user')).toHaveText(/^[0-9a-f-]{36}$/)
  // Both at the same time and with the same refresh token, as after a laptop has woken.
  const used = []
  for (const page of [notes, other]) {
    page.on('request', (r) => { if (r.method() === 'POST' && r.url().endsWith('/oauth2/token')) used.push(new URLSearchParams(r.postData()).get('refresh_token')) })
  }
  const [a, b] = [await tokens(notes), await tokens(other)]
  await expect.poll(() => tokens(notes), 'tokens of one tab').toBeGreaterThan(a + 3)
  await expect.poll(() => tokens(other), 'tokens of the other').toBeGreaterThan(b + 3)
  await expect.poll(() => used.length - new Set(used).size, 'refresh tokens used twice').toBeGreaterThan(0)
  for (const page of [notes, other]) expect(await whoAmI(page)).toBe(`200 ${person.email}`)

  const kept = await stored(notes)
  await notes.locator('#logout').click()
  for (const page of [notes, other]) await expect(page.locator('#user')).toHaveText('nobody')
  expect((await userInfo(bitjang, kept.access_token)).status).toBe(401)
})

test('somebody who ended it elsewhere is logged out here by the next refresh', async ({ notes, visitor, person, browserOf, watch }) => {
  watch.allow(400, 401)
  const elsewhere = visitor(await (await browserOf()).newPage(), person)
  await elsewhere.logIn()
  await elsewhere.page.goto('/account/applications')
  await elsewhere.page.getByRole('main').getByRole('button').click()
  await elsewhere.notice('access_withdrawn')
  expect(await whoAmI(notes)).toMatch(/^401/)
  await expect(notes.locator('#user')).toHaveText('nobody')
})
