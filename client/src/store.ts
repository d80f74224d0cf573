/** Where an app keeps what must outlive it. `set` resolves when the value is kept. */
export interface Storage {
  get(key: string): string | null | undefined | Promise<string | null | undefined>
  set(key: string, value: string): void | Promise<void>
}

export function memory(): Storage {
  const values = new Map<string, string>()
  return {
    get: (key) => values.get(key),
    set: (key, value) => void values.set(key, value),
  }
}

/** localStorage or sessionStorage as a Storage. */
export const webStorage = (storage: globalThis.Storage): Storage => ({
  get: (key) => storage.getItem(key),
  set: (key, value) => storage.setItem(key, value),
})

/**
 * Where tabs tell each other about a session whose tokens are in cookies. Nothing in
 * it is secret and nothing is lost without it, so it may fail.
 */
export function notes(): Storage {
  const spare = memory()
  const either = <T>(use: (storage: Storage) => T): T => {
    try {
      return use(webStorage(localStorage))
    } catch {
      return use(spare)
    }
  }
  return {
    get: (key) => either((s) => s.get(key)),
    set: (key, value) => either((s) => s.set(key, value)),
  }
}

/** What is known of the session. Tokens are in it only where they are no cookies. */
export interface Held {
  /** Another value after each refresh: tells whether somebody was faster. */
  n: string
  sid: string
  /** By the wall clock, when the tokens were asked for. Only differences of it are used. */
  at: number
  /** Seconds that the access token lives, from `at`. */
  ttl: number
  type?: string
  access?: string
  refresh?: string
}
