const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))

/**
 * Does work while no other tab does work of this name.
 *
 * It is about load and politeness, not about safety: the server lets two holders of
 * one token both go on for a while, and tells a late one to try again with what it
 * holds by then. So where a lock is held for longer than any work takes (a tab that is
 * frozen, say), the work is done without.
 */
export async function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks
  if (!locks) return leased(name, work)
  const stuck = new AbortController()
  const timer = setTimeout(() => stuck.abort(), 30_000 + 30_000 * Math.random())
  let begun = false
  const begin = () => {
    begun = true
    clearTimeout(timer)
    return work()
  }
  try {
    return await locks.request(name, { signal: stuck.signal }, begin)
  } catch (err) {
    if (begun || !stuck.signal.aborted) throw err
    return work()
  }
}

/**
 * The lock of browsers without Web Locks: a line in localStorage that says who may
 * work, and until when. Two tabs can both believe it is them, if rarely.
 */
async function leased<T>(name: string, work: () => Promise<T>): Promise<T> {
  const me = `${Math.random()}`
  const key = `${name}:lock`
  let storage: globalThis.Storage
  try {
    storage = localStorage
    storage.getItem(key)
  } catch {
    return work() // no other tabs, or none that can be told
  }
  for (const giveUp = performance.now() + 40_000; performance.now() < giveUp; await pause(20 + 60 * Math.random())) {
    const [owner, until] = (storage.getItem(key) ?? '').split(' ')
    const left = Number(until) - Date.now()
    if (owner && owner != me && left > 0 && left < 60_000) continue
    storage.setItem(key, `${me} ${Date.now() + 25_000}`)
    await pause(30)
    if (storage.getItem(key)?.startsWith(me)) break
  }
  try {
    return await work()
  } finally {
    if (storage.getItem(key)?.startsWith(me)) storage.removeItem(key)
  }
}
