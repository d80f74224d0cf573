// examples/login-browser: an unmodified oidc-client-ts, on another site.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from '../harness/fixtures.js'
import { registerClient } from '../harness/application.js'

const example = fileURLToPath(new URL('../../../examples/login-browser/', import.meta.url))

test.use({ settings: { BITJANG_ACCESS_TTL: '6s' } })

test.beforeAll(() => {
  if (!existsSync(example + 'node_modules/oidc-client-ts')) execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: example, stdio: 'inherit' })
})

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return port
}

test('oidc-client-ts logs in, renews, is refused after an end, and logs out', async ({ page, context, visitor, person, bitjang, watch }) => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const { id } = await registerClient(bitjang, 'Orders', ['--public', '--redirect-uri', `${url}/`, '--logout-uri', `${url}/`])
  const app = spawn(process.execPath, ['server.js'], { cwd: example, stdio: 'inherit', env: { ...process.env, PORT: port, BITJANG_ISSUER: bitjang.url, CLIENT_ID: id, EARLY: '3' } })
  watch.permit(url).allow(400, 401)
  try {
    await expect.poll(() => fetch(url).then((r) => r.status, () => 0)).toBe(200)
    const minji = visitor(page, person)
    await minji.signUpAndVerify()
    await page.goto(url)
    await expect(page.locator('#user')).toHaveText('nobody')
    await page.locator('#in').click()
    await minji.typeLogin()
    await minji.button('consent.allow').click()
    await expect(page.locator('#user')).toHaveText(/\w-\w/)
    await page.locator('#ask').click()
    await expect(page.locator('#orders')).toHaveText(person.email)

    // It renews by itself, with the refresh token, and so does a second tab.
    await expect.poll(() => page.evaluate(() => window.renewals), { timeout: 30_000 }).toBeGreaterThan(1)
    await page.locator('#ask').click()
    await expect(page.locator('#orders')).toHaveText(person.email)
    expect(await page.evaluate(() => window.renewError)).toBeUndefined()

    // The person ends it in their account: the next renewal and the next call are refused.
    const account = await context.newPage()
    await account.goto('/account/applications')
    await account.getByRole('main').getByRole('button').click()
    await page.locator('#ask').click()
    await expect(page.locator('#orders')).toHaveText('401')
    await expect.poll(() => page.evaluate(() => window.renewError), { timeout: 30_000 }).toMatch(/session_revoked/)

    // Once more, and out again.
    await page.locator('#in').click()
    await minji.button('consent.allow').click()
    await expect(page.locator('#user')).toHaveText(/\w-\w/)
    await page.locator('#out').click()
    await expect(page).toHaveURL(url + '/')
    await expect(page.locator('#user')).toHaveText('nobody')
    await minji.isOutAt('/account')
  } finally {
    app.kill()
  }
})
