// Watch notes everything that is wrong with the pages of a browser context,
// whether or not a test looks at it: script and console errors, requests to
// anybody else, requests that fail, and answers of 400 and above.
export class Watch {
  constructor(url) {
    this.origins = new Set([new URL(url).origin])
    this.allowed = new Set()
    this.problems = []
  }

  // allow says that a test asks for answers with these statuses.
  allow(...statuses) {
    for (const s of statuses) this.allowed.add(s)
    return this
  }

  // permit lets pages load from another origin that the test serves.
  permit(url) {
    this.origins.add(new URL(url).origin)
    return this
  }

  context(context) {
    context.on('page', (page) => this.page(page))
    for (const page of context.pages()) this.page(page)
    return context
  }

  page(page) {
    const say = (what) => this.problems.push(`${what} (on ${page.url()})`)
    page.on('pageerror', (err) => say(`page error: ${err.message}`))
    page.on('console', (message) => {
      if (message.type() !== 'error') return
      const status = /Failed to load resource: the server responded with a status of (\d+)/.exec(message.text())
      if (status && this.allowed.has(Number(status[1]))) return
      if (this.tolerated?.(message.text())) return
      say(`console: ${message.text()} ${message.location()?.url ?? ''}`)
    })
    page.on('request', (request) => {
      const url = new URL(request.url())
      if (!['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) return
      if (!this.origins.has(url.origin)) say(`request to a third party: ${request.method()} ${request.url()}`)
    })
    page.on('response', (response) => {
      if (response.status() >= 400 && !this.allowed.has(response.status())) {
        say(`${response.status()} for ${response.request().method()} ${response.url()}`)
      }
    })
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? 'failed'
      // Aborted is what we did: left the page early, or took it as a download.
      if (why === 'net::ERR_ABORTED' || this.allowed.has(why)) return
      say(`${why}: ${request.method()} ${request.url()}`)
    })
  }
}
