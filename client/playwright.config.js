// The client in Debian's Chromium against the real binary, behind a proxy that
// loses requests and answers.
//
//   npm ci && npm test          needs Go and /usr/bin/chromium (CHROMIUM=FILE for another one)
//   SOAKSECONDS=600 npm test -- soak
import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: './test',
  testMatch: '*.spec.js',
  globalSetup: './test/global-setup.js',
  outputDir: './test-results',
  reporter: [['list']],
  workers: 2,
  retries: 0,
  fullyParallel: true,
  forbidOnly: !!process.env.CI,
  timeout: 60_000 + 1_500 * (process.env.SOAKSECONDS ?? 20),
  use: {
    browserName: 'chromium',
    launchOptions: { executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] },
  },
})
