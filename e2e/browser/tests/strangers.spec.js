// What somebody without an account can learn or do.
import { expect, linkIn, safari, test } from '../harness/fixtures.js'

test('strangers get the same answers about addresses with and without an account', async ({ bitjang, mail, visitor, person, page, watch }) => {
  watch.allow(401)
  await visitor(page, person).signUpAndVerify()
  const waiting = { ...person, email: `waiting-${person.email}` } // has not confirmed it
  await visitor(page, waiting).signUp()

  let n = 0
  const ask = async (path, email, password) => {
    const started = performance.now()
    const answer = await fetch(bitjang.url + path, {
      method: 'POST', redirect: 'manual', body: new URLSearchParams({ email, password, name: 'X' }), headers: { 'Accept-Language': 'en' },
    })
    const body = (await answer.text()).replaceAll(email, 'EMAIL')
      // The passkey's challenge is random, whoever asks.
      .replace(/challenge&#34;:&#34;[^&]+/, 'challenge&#34;:&#34;').replace(/name="challenge" value="[^"]+"/, 'name="challenge"')
    const headers = [...answer.headers].filter(([name]) => name !== 'date')
      .map(([name, value]) => `${name}: ${name === 'set-cookie' ? value.replace(/=[^;]+/, '=') : value}`).join('\n')
    return { took: performance.now() - started, what: `${answer.status}\n${headers}\n\n${body}` }
  }
  for (const path of ['/login', '/signup', '/login/forgot-password', '/login/link']) {
    const kinds = { known: () => person.email, 'not confirmed': () => waiting.email, unknown: () => `nobody-${++n}-${person.email}` }
    // The same password as the real one where it must not matter.
    const password = path === '/login' ? 'plain-wrong-71-harbour' : person.password
    const said = {}
    const took = {}
    for (let round = 0; round < 3; round++) {
      for (const [kind, email] of Object.entries(kinds)) {
        const answer = await ask(path, email(), password)
        said[kind] ??= answer.what.replace(/content-length: \d+\n/, '')
        ;(took[kind] ??= []).push(answer.took)
      }
    }
    console.log(path, Object.entries(took).map(([kind, ms]) => `${kind} ${ms.sort((a, b) => a - b)[1].toFixed(0)} ms`).join(', '))
    expect(said['not confirmed'], path).toBe(said.known)
    expect(said.unknown, path).toBe(said.known)
  }
  // Nor does the right password tell of an address that was never confirmed.
  const right = await ask('/login', waiting.email, waiting.password)
  const wrong = await ask('/login', `nobody-${person.email}`, waiting.password)
  expect(right.what.replace(/content-length: \d+\n/, '')).toBe(wrong.what.replace(/content-length: \d+\n/, ''))
})

test('names, browsers and devices are text, on pages and in mails', async ({ page, bitjang, mail, visitor, person, browserOf }) => {
  const evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{.Email}}'
  const dialogs = []
  page.on('dialog', (d) => { dialogs.push(d.message()); return d.dismiss() })
  const minji = visitor(page, { ...person, name: evil })
  await minji.signUpAndVerify()
  await minji.logIn()
  const since = mail.mark()
  const agent = `Mozilla/5.0 (X11; Linux x86_64) ${evil} Firefox/153.0`
  const other = await browserOf({ ...safari, userAgent: agent })
  await visitor(await other.newPage(), minji.person).logIn()
  await page.goto('/account/activity')
  await minji.device('').last().getByText(minji.t('device.rename')).click()
  await minji.device('').last().getByLabel(minji.t('device.name')).fill(evil)
  await minji.device('').last().getByRole('button', { name: minji.t('device.save') }).click()
  await minji.notice('renamed')
  await expect(minji.device('').last().getByRole('heading')).toHaveText(evil)

  const warning = await minji.mailed('new_device', since)
  expect(warning.html).not.toMatch(/<img|<script/i)
  await page.goto(linkIn(warning, '/account/not-me'))
  await minji.button('notme.button').click()
  await minji.title('reset.title')
  await page.goto('about:blank') // without our policy, as in a mail program that has none
  await page.setContent(warning.html)
  await expect(page.locator('img, script')).toHaveCount(0)
  expect(dialogs).toEqual([])

  // A name that would write headers of the mail, and one that would advertise.
  for (const name of ['Minji\r\nBcc: mallory@example.com', 'Minji\u0000']) {
    const answer = await fetch(`${bitjang.url}/signup`, {
      method: 'POST', body: new URLSearchParams({ email: `crlf-${person.email}`, password: person.password, name }),
    })
    expect(answer.status).toBe(400)
  }
  const before = mail.mark()
  await fetch(`${bitjang.url}/signup`, {
    method: 'POST', headers: { 'Accept-Language': 'en' },
    body: new URLSearchParams({ email: `ad-${person.email}`, password: person.password, name: 'Win at https://evil.test now' }),
  })
  const got = await mail.next(`ad-${person.email}`, before)
  expect(got.text).not.toContain('evil.test')
  expect(got.html).not.toContain('evil.test')
})

test('what is about a stranger stays with the stranger', async ({ page, bitjang, visitor, person, browserOf, watch }) => {
  watch.allow(404)
  const minji = visitor(page, person)
  await minji.signUpAndVerify()
  await minji.logIn()
  await page.goto('/account/activity')
  const mine = await page.locator('form[action$="/name"]').getAttribute('action')
  const mallory = visitor(await (await browserOf()).newPage(), { ...person, email: `mallory-${person.email}`, name: 'Mallory' })
  await mallory.signUpAndVerify()
  await mallory.logIn()
  for (const path of [mine, mine.replace(/name$/, 'end'), mine.replace(/name$/, 'not-me')]) {
    const answer = await mallory.page.request.post(path, { form: { name: 'Mine' }, maxRedirects: 0 })
    expect(answer.status(), path).toBe(404)
  }
  await page.reload()
  await minji.title('activity.title')
  await expect(minji.device('').getByRole('heading')).not.toHaveText(/Mine/)
})
