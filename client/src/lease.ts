/**
 * How long an access token is still good, without knowing what time it is.
 *
 * Neither clock is enough. The wall clock may be wrong and may be set; the monotonic
 * one stands still while a laptop sleeps. Nothing is compared with the token's `exp`;
 * what is left is its lifetime less what has passed since it was asked for, by
 * whichever clock says more. A wrong guess costs one refresh too many.
 */
export class Lease {
  private readonly since: number
  /** Refresh when less than this is left; another length in each tab. */
  readonly early: number

  /** asked is when the tokens were asked for by the monotonic clock, where this tab did. */
  constructor(private readonly at: number, private readonly ttl: number, asked?: number) {
    const age = Date.now() - at
    // From the future: the clock was set back since, and how long ago is unknown.
    this.since = asked ?? (age < -1000 ? -Infinity : performance.now() - age)
    this.early = Math.min(ttl, 300) * (100 + 150 * Math.random())
  }

  /** Milliseconds; not positive when it is over. */
  left(): number {
    return this.ttl * 1000 - Math.max(performance.now() - this.since, Date.now() - this.at)
  }

  /** Milliseconds until it is time to refresh. */
  due(): number {
    return this.left() - this.early
  }
}
