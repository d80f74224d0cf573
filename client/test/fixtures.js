import { expect, test as base } from '@playwright/test'
import { person, startStage } from './stage.js'

export { expect, person }

export const test = base.extend({
  settings: [{}, { option: true }],
  stage: async ({ settings }, use) => {
    const stage = await startStage(settings)
    await use(stage)
    await stage.stop()
  },
  // tab opens a tab with a client in it, as window.client; what it emits is in window.events.
  tab: async ({ context, stage }, use) => use(async (options = {}, prepare) => {
    const page = await context.newPage()
    if (prepare) await page.addInitScript(prepare)
    await page.goto(stage.url + '/')
    await page.evaluate(async ([issuer, { dpop, stored, ...rest }]) => {
      const { createClient, webStorage } = await import('/dist/index.js')
      const { dpop: bound } = await import('/dist/dpop.js')
      window.events = []
      window.client = createClient({
        issuer, ...rest, ...(stored && { storage: webStorage(localStorage) }), ...(dpop && { dpop: bound() }),
        onStepUp: async (needed) => {
          window.needed = needed
          if (!window.answer) return false
          await window.client.verify({ challenge: needed.challenge, factor: 'password', code: window.answer })
          return true
        },
      })
      for (const type of ['signedin', 'signedout', 'refreshed', 'stepup', 'offline', 'online']) {
        window.client.on(type, (event) => window.events.push({ type, ...event, error: event.error?.code }))
      }
    }, [stage.url, options])
    return page
  }),
})

// What a tab does; each resolves to something plain.
export const logIn = (page) => page.evaluate((p) => window.client.login(p), person)
export const me = (page, path = '/v1/me') => page.evaluate(async (path) => {
  try {
    const answer = await window.client.fetch(new URL(path, location.href))
    return answer.status
  } catch (err) {
    return `${err.kind ?? err.name}: ${err.code ?? err.message}`
  }
}, path)
export const events = (page, type) => page.evaluate((type) => window.events.filter((e) => !type || e.type === type), type)
export const count = (stage, path, status) => stage.seen.filter((s) => s.path === path && (!status || s.status === status)).length
