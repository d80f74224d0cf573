import { test as base, expect } from '@playwright/test'
import { linkIn, startMail } from './mail.js'
import { startBitjang }from './server.js'
import { text } from './texts.js'
import { Visitor } from './visitor.js'
import { Watch } from './watch.js'

export { expect, firefox, linkIn, safari, startBitjang }

// Other browsers, by what they say of themselves. They send no client hints.
const noHints = { 'sec-ch-ua': '', 'sec-ch-ua-platform': '' }
const firefox = {
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', extraHTTPHeaders: noHints,
}
const safari = {
  userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15',
  extraHTTPHeaders: noHints,
}

let people = 0

export const test = base.extend({
  // One mail server and one Bitjang per worker.
  mail: [async ({}, use) => {
    const mail = await startMail()
    await use(mail)
    await mail.stop()
  }, { scope: 'worker' }],

  // settings are added to Bitjang's. test.use them at the top of a file: they make
  // a worker of their own, which Playwright refuses within test.describe.
  settings: [{}, { option: true, scope: 'worker' }],

  bitjang: [async ({ mail, settings }, use) => {
    const bitjang = await startBitjang({ BITJANG_SMTP: mail.url, ...settings })
    await use(bitjang)
    await bitjang.stop()
  }, { scope: 'worker' }],

  baseURL: async ({ bitjang }, use) => use(bitjang.url),

  lang: async ({ locale }, use) => use(locale.slice(0, 2)),
  t: async ({ lang }, use) => use((id, vars) => text(lang, id, vars)),

  // watch fails the test for anything wrong on any page; see Watch.
  watch: [async ({ bitjang }, use, info) => {
    const watch = new Watch(bitjang.url)
    const from = bitjang.log().length
    await use(watch)
    if (info.status !== info.expectedStatus) {
      await info.attach('bitjang.log', { body: bitjang.log().slice(from), contentType: 'text/plain' })
    }
    expect.soft(watch.problems, 'what went wrong on the pages').toEqual([])
  }, { auto: true }],

  context: async ({ context, watch }, use) => use(watch.context(context)),

  // browserOf opens another, separate browser with the project's settings.
  browserOf: async ({ browser, watch, contextOptions, baseURL, locale, viewport, hasTouch, isMobile, userAgent, colorScheme, timezoneId }, use) => {
    const opened = []
    await use(async (options = {}) => {
      const context = await browser.newContext({ ...contextOptions, baseURL, locale, viewport, hasTouch, isMobile, userAgent, colorScheme, timezoneId, ...options })
      opened.push(context)
      watch.context(context)
      return context
    })
    await Promise.all(opened.map((c) => c.close()))
  },

  visitor: async ({ mail, t }, use) => use((page, person) => new Visitor(page, person, mail, t)),

  // person is somebody whom the service does not know yet.
  person: async ({}, use, info) => use({
    email: `minji-${info.parallelIndex}-${info.workerIndex}-${++people}@example.com`,
    password: 'plain-orchid-71-harbour',
    name: 'Minji',
  }),
})
