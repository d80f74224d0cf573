// The browser tests: the real binary, a real SMTP server, Debian's Chromium.
//
//   npm ci && npx playwright test
//
// needs Go (the binary is built once; BITJANG_BIN=FILE takes a built one) and
// /usr/bin/chromium (CHROMIUM=FILE for another one). No browser is downloaded.
// Pictures for the documentation, into docs/screenshots:
//
//   SCREENSHOTS=1 npx playwright test --project=screenshots
//
// and with SCREENSHOTS=all every page, to look at, into test-results/gallery.
import { defineConfig } from '@playwright/test'

const desktop = { viewport: { width: 1280, height: 800 } }
const phone = {
  userAgent: 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36',
  viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true,
}

// What depends on the language or the size of the screen runs in all four
// projects, what does not in one.
const everywhere = ['journey.spec.js', 'axe.spec.js']
const nowhereElse = ['nojs.spec.js', 'keyboard.spec.js', 'sessions.spec.js', 'attacks.spec.js', 'strangers.spec.js', 'first-byte.spec.js', 'factors.spec.js', 'hold.spec.js', 'authorize.spec.js', 'login-browser.spec.js']

export default defineConfig({
  testDir: './tests',
  globalSetup: './harness/global-setup.js',
  outputDir: './test-results',
  reporter: [['list']],
  workers: 2,
  retries: 0,
  fullyParallel: true,
  forbidOnly: !!process.env.CI,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: {
    browserName: 'chromium',
    launchOptions: {
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
    trace: { mode: 'retain-on-failure', screenshots: false }, // screenshots cost more than the tests
    video: 'off',
    timezoneId: 'UTC',
  },
  projects: [
    { name: 'desktop-en', testMatch: [...everywhere, ...nowhereElse], use: { ...desktop, locale: 'en-US' } },
    { name: 'desktop-ko', testMatch: [...everywhere, 'nojs.spec.js'], use: { ...desktop, locale: 'ko-KR' } },
    { name: 'phone-en', testMatch: everywhere, use: { ...phone, locale: 'en-US' } },
    { name: 'phone-ko', testMatch: [...everywhere, 'nojs.spec.js'], use: { ...phone, locale: 'ko-KR' } },
    ...(process.env.SCREENSHOTS ? [{ name: 'screenshots', testMatch: 'screenshots.spec.js', use: { locale: 'en-US' } }] : []),
  ],
})
