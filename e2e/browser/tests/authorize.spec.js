// An application on another site, from the first click to the logout.
import AxeBuilder from '@axe-core/playwright'
import { startApplication } from '../harness/application.js'
import { startElsewhere } from '../harness/elsewhere.js'
import { expect, test as base } from '../harness/fixtures.js'

const test = base.extend({
  notes: async ({ bitjang, watch }, use) => {
    const notes = await startApplication(bitjang, 'Notes & Co')
    watch.permit(notes.url)
    await use(notes)
    notes.stop()
  },
})

test('somebody logs in to an application, is asked once, and logs out again', async ({ page, visitor, person, notes, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await page.goto(notes.url + '/start')
  await minji.title('login.title')
  await minji.typeLogin()

  await minji.title('consent.title', { Client: notes.name })
  await expect(page.locator('main')).toContainText(person.email)
  await expect(page.locator('main')).toContainText(t('scope.email'))
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    const { violations } = await new AxeBuilder({ page }).setLegacyMode().withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze()
    expect(violations.map((v) => v.id)).toEqual([])
  }
  await minji.button('consent.allow').click()
  await expect(page.locator('#who')).toHaveText(person.email)

  // The second time nobody is asked anything.
  await page.goto(notes.url + '/start')
  await expect(page.locator('#who')).toHaveText(person.email)
  await page.goto(notes.url + '/start?prompt=none')
  await expect(page.locator('#who')).toHaveText(person.email)

  await page.goto('/account/applications')
  await expect(page.locator('main')).toContainText(notes.name)

  await page.goto(notes.url + '/out')
  await expect(page.locator('#bye')).toHaveText('s-1')
  await expect.poll(() => notes.told.length).toBeGreaterThan(0)
  expect((await notes.refresh()).error).toBe('invalid_grant')
  await minji.isOutAt('/account')
  await page.goto(notes.url + '/start?prompt=none')
  await expect(page.locator('#error')).toHaveText('login_required')
})

test('whoever refuses is sent back with nothing', async ({ page, visitor, person, notes }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await page.goto(notes.url + '/start')
  await minji.typeLogin()
  await minji.title('consent.title', { Client: notes.name })
  await minji.button('consent.refuse').click()
  await expect(page.locator('#error')).toHaveText('access_denied')
  await page.goto(notes.url + '/start')
  await minji.title('consent.title', { Client: notes.name }) // and is asked the next time
})

test('what an application was allowed is taken back', async ({ page, visitor, person, notes }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await page.goto(notes.url + '/start')
  await minji.typeLogin()
  await minji.button('consent.allow').click()
  await expect(page.locator('#who')).toHaveText(person.email)
  await page.goto('/account/applications')
  await page.getByRole('main').getByRole('button').click()
  await minji.notice('access_withdrawn')
  expect((await notes.refresh()).error).toBe('invalid_grant')
  await page.goto(notes.url + '/start')
  await minji.title('consent.title', { Client: notes.name })
})

test('an operator’s own application asks nobody', async ({ page, visitor, person, bitjang, watch }) => {
  const own = await startApplication(bitjang, 'Own', ['--first-party'])
  watch.permit(own.url)
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await page.goto(own.url + '/start')
  await minji.typeLogin()
  await expect(page.locator('#who')).toHaveText(person.email)
  own.stop()
})

test('nobody clicks on a consent that they cannot see', async ({ page, visitor, person, notes, watch }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto(notes.url + '/start')
  await minji.title('consent.title', { Client: notes.name })
  const address = page.url()
  let refusals = 0
  watch.allow('net::ERR_BLOCKED_BY_RESPONSE').tolerated = (text) => /frame-ancestors|X-Frame-Options/.test(text) && ++refusals > 0
  const evil = await startElsewhere({ '/': `<!doctype html><title>Win</title><iframe src="${address.replaceAll('&', '&amp;')}"></iframe>` })
  watch.permit(evil.url)
  await page.goto(evil.url + '/', { waitUntil: 'load' })
  await expect(page.frameLocator('iframe').locator('form')).toHaveCount(0)
  await expect.poll(() => refusals, 'the browser says that it refused').toBeGreaterThan(0)
  evil.stop()
})
