// Four tabs, access tokens of five seconds, a network that loses what it likes and
// a server that is killed: nobody may be logged out, and no more than one refresh
// may be under way.
import { events, expect, logIn, me, test } from './fixtures.js'

const seconds = Number(process.env.SOAKSECONDS ?? 20)

test.use({ settings: { BITJANG_ACCESS_TTL: '5s' } })

// A fault for one request in five; twice as often for refreshes.
const faults = ['drop', 'lose', 503, 500, { wait: 300 }, { wait: 2_000 }, 'lose']
const faulty = ({ path }) => (Math.random() < (path === '/v1/refresh' ? 0.4 : 0.2) ? faults[Math.floor(Math.random() * faults.length)] : undefined)

// use asks for something again and again, as a page does.
const use = (page, until) => page.evaluate(async (until) => {
  const got = {}
  while (Date.now() < until) {
    const what = await window.client.fetch(new URL('/v1/me', location.href)).then((a) => a.status, (e) => e.kind ?? e.name)
    got[what] = (got[what] ?? 0) + 1
    await new Promise((done) => setTimeout(done, 100 + 500 * Math.random()))
  }
  return got
}, until)

for (const [how, options] of [['cookies', {}], ['tokens in localStorage', { transport: 'token', stored: true }]]) {
  test(`${seconds} seconds with ${how}`, async ({ tab, stage }) => {
    const pages = []
    for (let i = 0; i < 4; i++) pages.push(await tab({ ...options, timeout: 3, patience: 5 }))
    await logIn(pages[0])
    stage.fault = faulty
    const until = Date.now() + 1000 * seconds
    const busy = Promise.all(pages.map((p) => use(p, until)))
    let kills = 0
    while (Date.now() < until - 6_000) {
      await new Promise((done) => setTimeout(done, 3_000 + 9_000 * Math.random()))
      await stage.kill()
      await new Promise((done) => setTimeout(done, 3_000 * Math.random()))
      await stage.start()
      kills++
    }
    const got = await busy
    const ended = (await Promise.all(pages.map((p) => events(p, 'signedout')))).flat()
    const refreshes = stage.seen.filter((s) => s.path === '/v1/refresh')
    const sum = {}
    for (const g of got) for (const [what, n] of Object.entries(g)) sum[what] = (sum[what] ?? 0) + n
    console.log(`| ${how} | ${seconds} s | ${refreshes.length} refreshes, ${refreshes.filter((s) => s.fault).length} of them disturbed | ${kills} kills | requests: ${JSON.stringify(sum)} | ${ended.length} logouts | at most ${stage.most} refreshes at once |`)
    expect(ended).toEqual([])
    expect(stage.most).toBe(1)
    expect(sum[401]).toBeUndefined()
    expect(sum[200]).toBeGreaterThan(0)
    stage.fault = () => undefined
    for (const p of pages) await expect.poll(() => me(p), { timeout: 30_000 }).toBe(200)
  })
}
