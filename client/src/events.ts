import type { BitjangError, Factor, Problem, Refusal } from './errors.js'

export interface Session {
  id: string
  /** Seconds that the access token is still good for; the client renews it by itself. */
  expiresIn: number
}

export interface User {
  id: string
  email: string
  email_verified: boolean
  name?: string
  language?: string
  roles?: string[]
  created_at: string
}

/** A proof that is asked for, and what answers it: `client.verify`, or the page at `url`. */
export interface StepUp {
  reason: 'step_up_required' | 'fresh_authentication_required' | 'insufficient_user_authentication'
  challenge?: string
  factors?: Factor[]
  /** For PublicKeyCredential.parseRequestOptionsFromJSON. */
  passkey?: unknown
  /** A page that answers it. */
  url?: string
  /** What a resource server wants (RFC 9470). */
  acr?: string
  maxAge?: number
  problem: Problem
}

export interface Events {
  /** A session is there: by a login in any tab, or found at the start. */
  signedin: { session: Session; user?: User }
  /** It is gone. `replaced`: somebody logged in anew, `elsewhere`: no tab has said why. */
  signedout: { reason: Refusal | 'logout' | 'replaced' | 'elsewhere'; sessionEnd?: string }
  /** By this tab or another one. */
  refreshed: { session: Session; by: 'this tab' | 'another tab' }
  stepup: StepUp
  /** The server cannot be reached or has no time. The session is as it was. */
  offline: { error?: BitjangError; retryIn?: number }
  online: object
}

type Listener<K extends keyof Events> = (event: Events[K]) => void

export class Emitter {
  private readonly listeners = new Map<keyof Events, Set<Listener<any>>>()

  on<K extends keyof Events>(type: K, listener: Listener<K>): () => void {
    const all = this.listeners.get(type) ?? new Set()
    this.listeners.set(type, all.add(listener))
    return () => void all.delete(listener)
  }

  emit<K extends keyof Events>(type: K, event: Events[K]): void {
    for (const listener of this.listeners.get(type) ?? []) {
      try {
        listener(event)
      } catch (err) {
        setTimeout(() => { throw err }) // the listener's problem, and nobody else's
      }
    }
  }
}
