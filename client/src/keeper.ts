import { BitjangError, type Refusal } from './errors.js'
import { Emitter, type Events, type Session, type User } from './events.js'
import { Lease } from './lease.js'
import { exclusively } from './lock.js'
import type { Held, Storage } from './store.js'

export interface KeeperOptions {
  /** Of the lock, the channel and the stored session. */
  name: string
  storage: Storage
  /** Other tabs see the same storage. */
  shared: boolean
  cookies: boolean
  background: boolean
  /** Milliseconds that a request waits for a refresh to succeed. */
  patience: number
  refresh(held: Held | null): Promise<any>
}

type Told = { wait?: number }

const nobody = () => {}

/**
 * Keeps one session: what is known of it, its renewal, and what other tabs do to it.
 *
 * One rule above all: only a definite refusal of the server, or a logout, ends it.
 */
export class Keeper extends Emitter {
  held: Held | null = null
  private lease: Lease | undefined
  private loaded: Promise<void> | undefined
  private turn: Promise<unknown> = Promise.resolve()
  private flight: Promise<void> | undefined
  private readonly channel: BroadcastChannel | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private failures = 0
  private retryAt = 0
  private lastError: BitjangError | undefined
  private unreachable = false
  private asked = false // to step up; only a person can go on
  private wake = new Set<() => void>()
  private readonly gone = new AbortController()

  constructor(private readonly opt: KeeperOptions) {
    super()
    if (opt.shared && globalThis.BroadcastChannel) {
      this.channel = new BroadcastChannel(opt.name)
      this.channel.onmessage = (message: MessageEvent<Told>) => this.hear(message.data)
      ;(this.channel as any).unref?.() // Node would wait for messages for ever
    }
    const { signal } = this.gone
    const look = () => this.look()
    globalThis.addEventListener?.('online', look, { signal })
    globalThis.addEventListener?.('offline', () => this.lost(), { signal })
    globalThis.document?.addEventListener('visibilitychange', look, { signal })
    globalThis.addEventListener?.('pageshow', look, { signal })
    // A message may arrive before what it tells of can be read: then this comes after it.
    globalThis.addEventListener?.('storage', (e) => void (e.key == opt.name && this.reload()), { signal })
  }

  close(): void {
    this.gone.abort()
    this.channel?.close()
    clearTimeout(this.timer)
  }

  /** What is stored, read once; later changes arrive by message. */
  load(): Promise<void> {
    return (this.loaded ??= this.reload())
  }

  session(): Session | null {
    return this.held && { id: this.held.sid, expiresIn: Math.max(0, Math.floor(this.lease!.left() / 1000)) }
  }

  expired(): boolean {
    return !!this.held && this.lease!.left() <= 0
  }

  due(): boolean {
    return !!this.held && this.lease!.due() <= 0
  }

  /** One thing at a time, in this tab and in all others. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.turn.then(() => (this.opt.shared ? exclusively(this.opt.name, work) : work()))
    this.turn = run.catch(nobody)
    return run
  }

  /**
   * Tokens other than those called used. Resolves also if there is no session any
   * more; fails if nobody could tell for as long as a request may wait.
   */
  async renew(used: string | undefined, signal?: AbortSignal): Promise<void> {
    for (const since = performance.now(); ; ) {
      const wait = this.retryAt - performance.now()
      if (performance.now() + wait - since > this.opt.patience) throw this.lastError
      if (wait > 0) await this.sleep(wait)
      signal?.throwIfAborted()
      if (this.held?.n != used) return
      try {
        return await this.refresh(used)
      } catch (err) {
        if (!(err instanceof BitjangError) || err.kind != 'retry') throw err
      }
    }
  }

  /** One try. Whoever comes while it is under way shares it. */
  refresh(used: string | undefined): Promise<void> {
    const since = performance.now()
    return (this.flight ??= this.alone(() => this.exchange(used, since)).finally(() => (this.flight = undefined)))
  }

  private async exchange(used: string | undefined, since: number): Promise<void> {
    // Whoever had to wait may see what another tab has stored only a moment later.
    if (performance.now() - since > 20) await this.sleep(50)
    await this.reload()
    // While we waited another tab has refreshed, logged in or logged out: take that over.
    if (this.held?.n != used) return
    if (!this.held && !this.opt.cookies) return
    const { held } = this
    const from = { mono: performance.now(), wall: Date.now() }
    try {
      await this.keep(await this.opt.refresh(held), from)
    } catch (err) {
      const error = err as BitjangError
      if (error.kind == 'ended') return this.drop({ reason: error.code as Refusal, ...(error.problem.session_end && { sessionEnd: error.problem.session_end }) })
      this.failed(error)
      throw error
    }
  }

  /**
   * Takes new tokens over. They are stored before anybody can use them: a client that
   * used an access token and then lost the refresh token beside it would come back with
   * the old one, and look like a thief.
   */
  async keep(data: any, from: { mono: number; wall: number }): Promise<void> {
    const good = data?.session_id && data.expires_in >= 0 && (this.opt.cookies || (data.access_token && data.refresh_token))
    if (!good) throw new BitjangError('unexpected_answer') // of a captive portal, say
    const held: Held = { n: `${from.wall}-${Math.random()}`, sid: data.session_id, at: from.wall, ttl: data.expires_in }
    if (!this.opt.cookies) Object.assign(held, { type: data.token_type, access: data.access_token, refresh: data.refresh_token })
    try {
      await this.opt.storage.set(this.opt.name, JSON.stringify(held))
    } catch (err) {
      throw new BitjangError('storage_failed', 0, {}, undefined, { cause: err })
    }
    this.adopt(held, { asked: from.mono, user: data.user })
    this.tell({})
  }

  /** The session is over. What is kept of it is why, for the other tabs. */
  async drop(why: Events['signedout']): Promise<void> {
    await this.opt.storage.set(this.opt.name, JSON.stringify({ why }))
    this.adopt(null, { why })
    this.tell({})
  }

  private async reload(): Promise<void> {
    const text = await this.opt.storage.get(this.opt.name)
    let kept: Held & { why?: Events['signedout'] } | null = null
    try {
      kept = text ? JSON.parse(text) : null
    } catch { /* somebody else's */ }
    this.adopt(kept?.sid ? kept : null, { why: kept?.why })
  }

  private adopt(held: Held | null, { asked, user, why }: { asked?: number; user?: User; why?: Events['signedout'] | undefined }): void {
    const before = this.held
    if (held?.n == before?.n) return
    this.held = held
    this.lease = held ? new Lease(held.at, held.ttl, asked) : undefined
    this.failures = this.retryAt = 0
    this.asked = false
    this.reached()
    if (before && before.sid != held?.sid) this.emit('signedout', why ?? { reason: held ? 'replaced' : 'elsewhere' })
    const session = this.session()
    if (session && before?.sid != session.id) this.emit('signedin', { session, ...(user && { user }) })
    else if (session) this.emit('refreshed', { session, by: asked === undefined ? 'another tab' : 'this tab' })
    this.schedule()
  }

  private failed(error: BitjangError): void {
    if (error.kind == 'prove') {
      this.asked = true
      return
    }
    const first = error.status == 409 ? 100 : 400
    const backoff = Math.min(60_000, first * 2 ** this.failures++) * (0.5 + Math.random())
    this.lastError = error
    this.hold(Math.max(backoff, (error.retryAfter ?? 0) * 1000 * (1 + Math.random() / 4)))
    if (error.status != 409) this.lost(error)
    this.tell({ wait: this.retryAt - performance.now() })
    this.schedule()
  }

  private hold(wait: number): void {
    this.retryAt = performance.now() + wait
  }

  private lost(error?: BitjangError): void {
    if (!this.unreachable) this.emit('offline', { ...(error && { error, retryIn: (this.retryAt - performance.now()) / 1000 }) })
    this.unreachable = true
  }

  private reached(): void {
    if (this.unreachable) this.emit('online', {})
    this.unreachable = false
  }

  private tell(what: Told): void {
    this.channel?.postMessage(what)
  }

  private hear(told: Told): void {
    if (told.wait == null) void this.reload()
    else if (this.held) {
      this.lastError ??= new BitjangError('network')
      this.hold(told.wait)
      this.schedule()
    }
  }

  /** The network is back, or somebody looks: what was put off is worth a try now. */
  private look(): void {
    if (this.loaded) void this.reload()
    this.failures = this.retryAt = 0
    for (const wake of this.wake) wake()
    this.schedule()
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((done) => {
      const wake = () => {
        clearTimeout(timer)
        this.wake.delete(wake)
        done()
      }
      const timer = setTimeout(wake, ms)
      this.wake.add(wake)
    })
  }

  /**
   * Refreshes ahead of time while somebody looks. A tab that nobody looks at renews
   * nothing by itself, so that a forgotten one does not keep its session for ever.
   */
  private schedule(): void {
    clearTimeout(this.timer)
    if (!this.opt.background || !this.held || this.asked || this.gone.signal.aborted || globalThis.document?.hidden) return
    const wait = Math.max(this.lease!.due(), this.retryAt - performance.now(), 0)
    // Timers stand still in sleep, and one of a month overflows: look at the clocks now and then.
    this.timer = setTimeout(() => {
      if (this.due() && performance.now() >= this.retryAt) this.refresh(this.held?.n).catch(nobody)
      else this.schedule()
    }, Math.min(wait + 5, 15_000))
    ;(this.timer as any).unref?.()
  }
}
