import { simpleParser } from 'mailparser'
import { SMTPServer } from 'smtp-server'

// startMail runs an SMTP server in this process that keeps what it gets.
export async function startMail() {
  const mails = []
  let waiting = []
  const server = new SMTPServer({
    hideSTARTTLS: true,
    authOptional: true,
    disabledCommands: ['AUTH'],
    logger: false,
    async onData(stream, session, done) {
      try {
        const parsed = await simpleParser(stream)
        mails.push({
          to: session.envelope.rcptTo[0].address,
          subject: parsed.subject,
          text: parsed.text,
          html: parsed.html,
          headers: parsed.headers,
        })
        for (const look of waiting) look()
        done()
      } catch (err) {
        done(err)
      }
    },
  })
  await new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `smtp://127.0.0.1:${server.server.address().port}?tls=off`,
    mails,
    // mark is a point in time for next and count.
    mark: () => mails.length,
    count: (to, since = 0) => mails.slice(since).filter((m) => m.to === to).length,
    // next waits for the first mail to an address since a mark, and with a
    // subject for the first one of that subject.
    next(to, since = 0, subject = undefined, timeout = 15_000) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = mails.slice(since).find((m) => m.to === to && (subject === undefined || m.subject === subject))
          if (!found) return
          settle()
          resolve(found)
        }
        const settle = () => {
          clearTimeout(timer)
          waiting = waiting.filter((w) => w !== look)
        }
        const timer = setTimeout(() => {
          settle()
          const got = mails.slice(since).map((m) => `  ${m.to}: ${m.subject}`).join('\n')
          reject(new Error(`no mail to ${to}${subject ? ` with subject "${subject}"` : ''}; since then:\n${got || '  nothing'}`))
        }, timeout)
        waiting.push(look)
        look()
      })
    },
    stop: () => new Promise((resolve) => server.close(resolve)),
  }
}

// linkIn is the one address in a mail that leads to a path of the service. The
// text and the HTML part must agree on it.
export function linkIn(mail, path) {
  const links = mail.text.split('\n').map((line) => line.trim()).filter((line) => URL.canParse(line))
  const link = links.find((l) => new URL(l).pathname === path)
  if (!link) throw new Error(`no link to ${path} in the mail "${mail.subject}":\n${mail.text}`)
  if (!mail.html.replaceAll('&amp;', '&').includes(link)) throw new Error(`the HTML of "${mail.subject}" lacks ${link}`)
  return link
}
