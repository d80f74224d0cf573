import { BitjangError, type Factor } from './errors.js'
import type { Emitter, Session, StepUp, User } from './events.js'
import { Keeper } from './keeper.js'
import { StepUps } from './stepup.js'
import { type Held, memory, notes, type Storage } from './store.js'
import { type Prover, Wire } from './wire.js'

export interface ClientOptions {
  /** The URL of Bitjang, as in BITJANG_ISSUER. */
  issuer: string
  /**
   * `cookie` (default): both tokens are in HttpOnly cookies that no script reads.
   * `token`: this client holds them, for apps and for Node.
   */
  transport?: 'cookie' | 'token'
  /** With transport `token`: where the session outlives this page or process. Default: nowhere. */
  storage?: Storage
  /** Where requests go with the access token, beside the issuer: origins like https://api.example.com. */
  origins?: string[]
  /** Of the lock and the stored session; give each user of one Node process another one. Default: from the issuer. */
  name?: string
  /** With transport `token`: this device, as people see it in their list. */
  device?: { id?: string; name?: string }
  /** Asks a person for a proof. True: it was given (see `verify`), and what was refused is tried again. */
  onStepUp?: (needed: StepUp) => boolean | void | Promise<boolean | void>
  /** Binds the session to a key, with transport `token`: `dpop()` of @bitjang/client/dpop. */
  dpop?: Prover
  /** Refresh ahead of time while the page is visible. Default: in browsers. */
  background?: boolean
  /** Seconds that a refresh may take. Default: 10. */
  timeout?: number
  /** Seconds that a request waits for tokens while the server cannot be reached. Default: 15. */
  patience?: number
}

export interface Login {
  identifier: string
  password: string
}

export interface Proof {
  challenge: string
  factor: Factor
  /** Of an app, a mail or a list of recovery codes; or the password. */
  code?: string
  /** Of a passkey: the PublicKeyCredential's toJSON(). */
  credential?: unknown
  /** This device needs no second factor for a while. */
  remember?: boolean
}

export interface SignedIn {
  session: Session
  user?: User
}

export interface Client {
  /** Fails with a BitjangError, `mfa_required` with a challenge for `verify` among them. */
  login(login: Login): Promise<SignedIn>
  /** Answers a challenge of a login or of step-up. */
  verify(proof: Proof): Promise<SignedIn>
  /** Posts to any endpoint of the issuer that answers with tokens (`/v1/password`, `/v1/login/link/use`, …) and takes them over. */
  exchange(path: string, body: object): Promise<SignedIn>
  /**
   * Ends the session, or all of the user's. It fails while the server cannot be reached:
   * cookies are then still there; tokens are forgotten in any case.
   */
  logout(options?: { everywhere?: boolean }): Promise<void>
  /** As the platform's fetch, with the session. Requests to other origins pass untouched. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
  /** What is known, without asking anybody. */
  session(): Promise<Session | null>
  /** Asks the server, where it is not known whether the browser has a session: after a login on the server's own pages. */
  resume(): Promise<Session | null>
  /** With transport `token`: a good access token, for WebSockets and the like. */
  accessToken(): Promise<string | undefined>
  on: Emitter['on']
  /** Stops timers and listeners. The session stays. */
  close(): void
}

export function createClient(options: ClientOptions): Client {
  return new BitjangClient(options)
}

class BitjangClient implements Client {
  readonly on: Emitter['on']
  private readonly issuer: string
  private readonly cookies: boolean
  private readonly origins: Set<string>
  private readonly storage: Storage
  private readonly name: string
  private readonly wire: Wire
  private readonly keeper: Keeper
  private readonly stepUps: StepUps
  private device: Promise<{ id: string; remember?: string }> | undefined
  private forcedAt = -Infinity

  constructor(private readonly opt: ClientOptions) {
    this.issuer = opt.issuer.replace(/\/$/, '')
    this.cookies = opt.transport != 'token'
    if (this.cookies && (typeof location == 'undefined' || opt.dpop || opt.storage)) {
      throw new TypeError('Cookies are for browsers, and need neither storage nor dpop; there is transport: "token".')
    }
    this.origins = new Set([this.issuer, ...(opt.origins ?? [])].map((url) => new URL(url).origin))
    this.name = opt.name ?? `bitjang:${this.issuer}`
    this.storage = this.cookies ? notes() : (opt.storage ?? memory())
    const timeout = (opt.timeout ?? 10) * 1000
    this.wire = new Wire(this.issuer, this.cookies, timeout, opt.dpop)
    this.keeper = new Keeper({
      name: this.name,
      storage: this.storage,
      shared: this.cookies || !!opt.storage,
      cookies: this.cookies,
      background: opt.background ?? typeof document != 'undefined',
      patience: (opt.patience ?? 15) * 1000,
      refresh: (held) => this.post('/v1/refresh', {}, held, true),
    })
    this.on = this.keeper.on.bind(this.keeper)
    this.stepUps = new StepUps(this.keeper, opt.onStepUp, (body, held) => this.post('/v1/step-up', body, held))
    void this.keeper.load()
  }

  close(): void {
    this.keeper.close()
  }

  /** The id of an app's device. A session must come back with the one that it began with. */
  private async own(): Promise<{ id: string; remember?: string }> {
    const key = `${this.name}:device`
    const kept = await this.storage.get(key)
    if (kept) return JSON.parse(kept)
    const device = { id: this.opt.device?.id ?? crypto.randomUUID() }
    await this.storage.set(key, JSON.stringify(device))
    return device
  }

  private async post(path: string, body: object, held?: Held | null, refreshing?: boolean): Promise<any> {
    if (this.cookies) return this.wire.post(path, body)
    const device = await (this.device ??= this.own())
    const tokens = held ? { refresh_token: held.refresh } : { remember_token: device.remember }
    return this.wire.post(path, { ...tokens, ...body }, refreshing ? null : held, device.id)
  }

  login({ identifier, password }: Login): Promise<SignedIn> {
    return this.take('/v1/login', { identifier, password })
  }

  verify(proof: Proof): Promise<SignedIn> {
    return this.take('/v1/login/verify', proof)
  }

  async exchange(path: string, body: object): Promise<SignedIn> {
    await this.ready()
    return this.take(path, body, true)
  }

  private take(path: string, body: object, signedIn?: boolean): Promise<SignedIn> {
    const { keeper } = this
    return keeper.alone(async () => {
      await keeper.load()
      const from = { mono: performance.now(), wall: Date.now() }
      const how = this.cookies ? { transport: 'cookie' } : { device: { name: this.opt.device?.name } }
      const held = path == '/v1/login' ? null : keeper.held
      const data = await this.post(path, { ...how, ...body }, held, !signedIn)
      if (data?.remember_token) await this.remember(data.remember_token)
      await keeper.keep(data, from)
      return { session: keeper.session()!, ...(data.user && { user: data.user as User }) }
    })
  }

  private async remember(token: string): Promise<void> {
    const device = { ...(await this.own()), remember: token }
    await this.storage.set(`${this.name}:device`, JSON.stringify(device))
    this.device = Promise.resolve(device)
  }

  async logout({ everywhere }: { everywhere?: boolean } = {}): Promise<void> {
    if (everywhere) await this.ready()
    await this.keeper.load()
    return this.keeper.alone(async () => {
      try {
        await this.post(everywhere ? '/v1/logout-all' : '/v1/logout', {}, this.keeper.held)
      } catch (err) {
        const over = !everywhere && (err as BitjangError).status == 401 // it was, before
        if (!over && !this.cookies && !everywhere) await this.keeper.drop({ reason: 'logout' })
        if (!over) throw err
      }
      await this.keeper.drop({ reason: 'logout' })
    })
  }

  async session(): Promise<Session | null> {
    await this.keeper.load()
    return this.keeper.session()
  }

  async resume(): Promise<Session | null> {
    await this.keeper.load()
    if (!this.keeper.held || this.keeper.expired()) await this.keeper.renew(this.keeper.held?.n)
    return this.keeper.session()
  }

  async accessToken(): Promise<string | undefined> {
    await this.ready()
    return this.keeper.held?.access
  }

  /** Tokens that are good now. A refresh that can wait happens beside what they are for. */
  private async ready(signal?: AbortSignal): Promise<void> {
    const { keeper } = this
    await keeper.load()
    if (keeper.expired()) await keeper.renew(keeper.held?.n, signal)
    else if (keeper.due()) keeper.renew(keeper.held?.n).catch(() => {})
  }

  async fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init)
    if (!this.origins.has(new URL(request.url).origin) || request.headers.has('authorization')) return fetch(request)
    const { keeper } = this
    for (let renewals = 1, proofs = 1; ; ) {
      try {
        await this.ready(request.signal)
      } catch (err) {
        if (proofs-- > 0 && (await this.stepUps.afterRefusal(err))) continue
        throw err
      }
      const { held } = keeper
      const answer = await this.attempt(request.clone())
      const asked = await this.stepUps.wanted(answer, held)
      if (asked) {
        if (proofs-- > 0 && (await this.stepUps.meet(asked))) continue
        return answer
      }
      if (answer.status != 401 || renewals-- <= 0 || !this.worthRenewing(held)) return answer
      await keeper.renew(held?.n, request.signal).catch((err) => {
        if (err.kind != 'prove') throw err // the loop asks for the proof
      })
      if (!keeper.held) return answer
    }
  }

  /**
   * A token that should be good and is not may be one of a server that was restored, or
   * of a session that has ended. But a server that refuses everybody must not make its
   * every request a refresh.
   */
  private worthRenewing(held: Held | null): boolean {
    if (!held) return this.cookies
    if (held.n != this.keeper.held?.n || this.keeper.expired()) return true
    const due = performance.now() - this.forcedAt > 10_000
    if (due) this.forcedAt = performance.now()
    return due
  }

  private async attempt(request: Request): Promise<Response> {
    if (this.cookies) return this.wire.send(new Request(request, { credentials: 'include' }))
    return this.wire.send(request, this.keeper.held)
  }
}
