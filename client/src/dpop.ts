import type { Prover } from './wire.js'

export interface DPoPOptions {
  /** Of the key: each session of one browser that has a key of its own gives another name. Default: "default". */
  name?: string
}

/**
 * Binds a session to a key of this browser (RFC 9449): a copied token is worth
 * nothing without it, and no script can copy the key, this one included.
 *
 *     createClient({ issuer, transport: 'token', storage, dpop: dpop() })
 *
 * The key is in IndexedDB, where tabs share it and it outlives them. Without IndexedDB,
 * as in Node, it lives as long as the process.
 */
export function dpop(options: DPoPOptions = {}): Prover {
  const nonces = new Map<string, string>() // by origin: each server has its own
  let key: Promise<Key> | undefined
  return {
    async proof(method, url, access) {
      const { origin, pathname } = new URL(url)
      const { pair, jwk } = await (key ??= ownKey(options.name ?? 'default').catch((err) => {
        key = undefined
        throw err
      }))
      const nonce = nonces.get(origin)
      const head = { typ: 'dpop+jwt', alg: 'ES256', jwk }
      const body = {
        jti: crypto.randomUUID(), htm: method, htu: origin + pathname, iat: Math.floor(Date.now() / 1000),
        ...(access && { ath: encode(await crypto.subtle.digest('SHA-256', utf8(access))) }), ...(nonce && { nonce }),
      }
      const signed = `${encode(utf8(JSON.stringify(head)))}.${encode(utf8(JSON.stringify(body)))}`
      return `${signed}.${encode(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, pair.privateKey, utf8(signed)))}`
    },

    async again(answer) {
      const nonce = answer.headers.get('dpop-nonce')
      if (nonce && answer.url) nonces.set(new URL(answer.url).origin, nonce)
      if (!nonce || (answer.status != 400 && answer.status != 401)) return false
      if (answer.headers.get('www-authenticate')?.includes('use_dpop_nonce')) return true
      const body = await answer.clone().json().catch(() => undefined)
      return body?.code == 'use_dpop_nonce' || body?.error == 'use_dpop_nonce'
    },
  }
}

interface Key {
  pair: CryptoKeyPair
  jwk: object
}

const utf8 = (text: string) => new TextEncoder().encode(text)

function encode(data: ArrayBuffer | Uint8Array): string {
  return btoa(String.fromCharCode(...new Uint8Array(data))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** The browser's key of this name, made by whichever tab comes first. */
async function ownKey(name: string): Promise<Key> {
  const made: CryptoKeyPair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const pair = globalThis.indexedDB ? await kept(name, made) : made
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  return { pair, jwk: { kty, crv, x, y } }
}

/** In one transaction, so that two tabs agree on one key. */
async function kept(name: string, made: CryptoKeyPair): Promise<CryptoKeyPair> {
  const opening = indexedDB.open('bitjang', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('keys')
  const db = await done(opening)
  try {
    const keys = db.transaction('keys', 'readwrite').objectStore('keys')
    const there: CryptoKeyPair | undefined = await done(keys.get(name))
    if (there) return there
    await done(keys.put(made, name))
    return made
  } finally {
    db.close()
  }
}
