import { createHmac } from 'node:crypto'

// An authenticator app, by RFC 6238.
export function codeOf(secret, ahead = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...secret.replaceAll(' ', '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead))
  const sum = createHmac('sha1', key).update(counter).digest()
  const from = sum[19] & 15
  return String((sum.readUInt32BE(from) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
