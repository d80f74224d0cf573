import { expect, linkIn, test } from '../harness/fixtures.js'

// tabTo presses Tab until something has the focus, and sees every stop marked.
async function tabTo(page, target) {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab')
    const mark = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
      const { width, height, right, bottom } = document.activeElement.getBoundingClientRect()
      return {
        what: document.activeElement.outerHTML.slice(0, 100),
        outlined: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
        inSight: width > 0 && height > 0 && right > 0 && bottom > 0,
        nowhere: document.activeElement === document.body,
      }
    })
    if (mark.nowhere) continue // between the end of the page and its beginning
    expect(mark, 'a stop that can be seen').toMatchObject({ outlined: true, inSight: true })
    if (await target.evaluate((e) => e === document.activeElement)) return
  }
  throw new Error('Tab does not lead there')
}

test('sign up and log in with the keyboard alone', async ({ page, visitor, person, mail, t }) => {
  const minji = visitor(page, person)
  const keys = page.keyboard
  await page.goto('/login')
  await tabTo(page, minji.link('signup.title'))
  await keys.press('Enter')
  await minji.title('signup.title')
  await tabTo(page, minji.field('field.name'))
  await keys.type(person.name)
  await tabTo(page, minji.field('field.email'))
  await keys.type(person.email)
  await tabTo(page, minji.password())
  await keys.type(person.password)
  await tabTo(page, minji.button('signup.button'))
  await keys.press('Space')
  await minji.title('signup.done.title')

  await page.goto(linkIn(await minji.mailed('verify_email'), '/account/verify-email'))
  await tabTo(page, minji.button('verify.button'))
  await keys.press('Enter')
  await minji.notice('verified')
  await tabTo(page, minji.field('field.email'))
  await keys.type(person.email)
  await tabTo(page, minji.password())
  await keys.type(person.password)
  await keys.press('Enter')
  await minji.isIn()

  await tabTo(page, minji.nav('nav.activity'))
  await keys.press('Enter')
  await minji.title('activity.title')
  await tabTo(page, page.getByText(t('device.rename')))
  await keys.press('Enter')
  await tabTo(page, minji.field('device.name'))
  await keys.type('Desk')
  await keys.press('Enter')
  await minji.notice('renamed')
  await tabTo(page, page.getByRole('navigation').getByRole('button', { name: t('nav.logout') }))
  await keys.press('Space')
  await minji.notice('logged_out')
})

test('the skip link is the first stop and leads to the content', async ({ page, visitor, person, t }) => {
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto('/account/security')
  const skip = page.getByRole('link', { name: t('nav.skip') })
  await expect(skip).not.toBeInViewport()
  await page.keyboard.press('Tab')
  await expect(skip).toBeFocused()
  await expect(skip).toBeInViewport({ ratio: 1 })
  await page.keyboard.press('Enter')
  await expect(page.locator('main')).toBeFocused()
  await page.keyboard.press('Tab')
  await expect(page.locator('main :focus')).toHaveCount(1)
})

test('a refused form leads a screen reader to what is wrong', async ({ page, visitor, person, watch, t }) => {
  watch.allow(401)
  const minji = visitor(page, person)
  await page.goto('/login')
  await minji.typeLogin('wrong-password-7')
  await minji.refused()
  const password = minji.password()
  await expect(password).toHaveAttribute('aria-invalid', 'true')
  await expect(password).toHaveAccessibleDescription(t('error.invalid_credentials_or_unverified'))
  await expect(password).toHaveValue('')
})
