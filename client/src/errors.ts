/** What may answer a challenge. */
export type Factor = 'passkey' | 'totp' | 'recovery_code' | 'email' | 'password'

/** The only answers to a refresh that mean: this session is over, log in again. */
export type Refusal =
  | 'refresh_token_malformed'
  | 'session_unknown'
  | 'session_expired'
  | 'session_revoked'
  | 'refresh_token_reused'

/** Codes that the client makes itself; all others are the server's. */
export type LocalCode = 'network' | 'timeout' | 'unexpected_answer' | 'storage_failed' | 'signed_out'

/** Codes that a program is likely to branch on. The server may have others. */
export type KnownCode =
  | Refusal
  | LocalCode
  | 'invalid_credentials'
  | 'mfa_required'
  | 'step_up_required'
  | 'fresh_authentication_required'
  | 'refresh_superseded'
  | 'challenge_invalid'
  | 'code_invalid'
  | 'too_many_attempts'
  | 'user_disabled'
  | 'overloaded'
  | 'store_unavailable'
  | 'dpop_proof_required'
  | 'invalid_dpop_proof'

export type ErrorCode = KnownCode | (string & {})

/**
 * What to do about an error:
 * - `retry`: nobody knows; the same request may succeed later. Nobody was logged out.
 * - `ended`: the session is over; log in again.
 * - `prove`: a challenge is to be answered first.
 * - `rejected`: the request was understood and refused.
 */
export type ErrorKind = 'retry' | 'ended' | 'prove' | 'rejected'

/** The body of a refusal (RFC 9457), as far as the client knows it. */
export interface Problem {
  code?: string
  detail?: string
  session_end?: string
  step_up_url?: string
  challenge?: string
  factors?: Factor[]
  passkey?: unknown
  setup?: { secret: string; uri: string }
  email?: string
  held_for?: string
}

interface Challenged {
  problem: Problem & { challenge: string; factors: Factor[] }
}

const endings = /^(refresh_token_(malformed|reused)|session_(unknown|expired|revoked))$/
const challenges = /^(mfa|step_up|fresh_authentication)_required$/

export class BitjangError extends Error {
  override readonly name = 'BitjangError'

  constructor(
    readonly code: ErrorCode,
    /** The HTTP status, 0 if there was no answer. */
    readonly status = 0,
    readonly problem: Problem = {},
    /** Seconds to wait, where the server said so. */
    readonly retryAfter?: number,
    options?: ErrorOptions,
  ) {
    super(problem.detail ?? code, options)
  }

  get kind(): ErrorKind {
    const { status, code } = this
    if (!status || status == 408 || status == 409 || status == 429 || status >= 500) return 'retry'
    if (status == 401 && endings.test(code)) return 'ended'
    return challenges.test(code) ? 'prove' : 'rejected'
  }

  /** Narrows the code; with codes that bring a challenge, the problem too. */
  is<C extends KnownCode>(code: C): this is BitjangError & { code: C } &
    (C extends 'mfa_required' | 'step_up_required' | 'fresh_authentication_required' ? Challenged : unknown) {
    return this.code == code
  }
}

/** Seconds of a Retry-After, which may also be a date (RFC 9110 section 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after')
  if (!text) return undefined
  const seconds = /^\d+$/.test(text) ? +text : (Date.parse(text) - Date.now()) / 1000
  return seconds >= 0 ? seconds : undefined
}

/**
 * The body of an answer, or its refusal. A refusal without a code of ours, as from
 * a proxy on the way, is none of the session's.
 */
export async function read(answer: Response): Promise<any> {
  const body = await answer.json().catch(() => undefined)
  if (answer.ok) return body
  throw new BitjangError(body?.code ?? 'unexpected_answer', answer.status, body ?? {}, retryAfter(answer.headers))
}
