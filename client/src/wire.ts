import { BitjangError, read } from './errors.js'
import type { Held } from './store.js'

/** Proves possession of a key (RFC 9449); see @bitjang/client/dpop. */
export interface Prover {
  proof(method: string, url: string, access?: string): Promise<string>
  /** Looks at an answer. True: it wants the same request with another nonce. */
  again(answer: Response): Promise<boolean>
}

const timeout = (ms: number) => AbortSignal.timeout(ms)

/** Requests as the issuer and its resource servers want them. */
export class Wire {
  constructor(
    private readonly issuer: string,
    private readonly cookies: boolean,
    private readonly patience: number,
    private readonly prover: Prover | undefined,
  ) {}

  /** Sends a request with the access token, if there is one for it. */
  async send(request: Request, held?: Held | null): Promise<Response> {
    for (let first = true; ; first = false) {
      const headers = new Headers(request.headers)
      if (held?.access) headers.set('authorization', `${held.type} ${held.access}`)
      if (this.prover) headers.set('dpop', await this.prover.proof(request.method, request.url, held?.access))
      const answer = await fetch(new Request(this.prover && first ? request.clone() : request, { headers }))
      if (!this.prover || !(await this.prover.again(answer)) || !first) return answer
    }
  }

  /** Posts to the issuer. Every failure is a BitjangError. */
  async post(path: string, body: object, held?: Held | null, device?: string): Promise<any> {
    const request = new Request(this.issuer + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(device && { 'device-id': device }) },
      body: JSON.stringify(body),
      credentials: this.cookies ? 'include' : 'omit',
      cache: 'no-store',
      redirect: 'error', // a redirect is somebody else's answer
      signal: timeout(this.patience),
    })
    try {
      return await read(await this.send(request, held))
    } catch (err) {
      if (err instanceof BitjangError) throw err
      throw new BitjangError((err as Error).name == 'TimeoutError' ? 'timeout' : 'network', 0, {}, undefined, { cause: err })
    }
  }
}
