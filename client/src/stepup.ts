import { BitjangError, type Problem } from './errors.js'
import type { StepUp } from './events.js'
import type { Keeper } from './keeper.js'
import type { Held } from './store.js'

type Hook = ((needed: StepUp) => boolean | void | Promise<boolean | void>) | undefined
type Ask = (body: object, held?: Held | null) => Promise<any>

const asking = /^(step_up|fresh_authentication)_required$/

const parameter = (header: string, name: string) => new RegExp(`${name}="?([^",]*)`).exec(header)?.[1]

function described(reason: string, problem: Problem): StepUp {
  const { challenge, factors, passkey, step_up_url: url } = problem
  return { reason, problem, ...(challenge && { challenge }), ...(factors && { factors }), ...(passkey ? { passkey } : {}), ...(url && { url }) } as StepUp
}

/** Notices that a proof is asked for, and asks a person, once for all who wait. */
export class StepUps {
  private meeting: Promise<boolean> | undefined

  constructor(private readonly keeper: Keeper, private readonly hook: Hook, private readonly ask: Ask) {}

  /** What an answer asks for: Bitjang with 403, a resource server with 401 (RFC 9470). */
  async wanted(answer: Response, held: Held | null): Promise<StepUp | true | undefined> {
    if (answer.status == 403) {
      const problem: Problem = await answer.clone().json().catch(() => ({}))
      return asking.test(problem?.code ?? '') ? described(problem.code!, problem) : undefined
    }
    const header = answer.status == 401 && answer.headers.get('www-authenticate')
    if (!header || parameter(header, 'error') != 'insufficient_user_authentication') return undefined
    const acr = parameter(header, 'acr_values')?.split(' ')[0]
    const age = parameter(header, 'max_age')
    const body = { ...(acr && { acr }), ...(age && { max_age: +age }) }
    const challenge = await this.ask(body, held)
    if (!challenge) {
      await this.keeper.renew(held?.n) // the session is worth it, only this token does not say so yet
      return true
    }
    return { ...described('insufficient_user_authentication', challenge), ...(acr && { acr }), ...(age && { maxAge: +age }) }
  }

  /** As wanted and meet, for a refresh that was refused. */
  async afterRefusal(err: unknown): Promise<boolean> {
    return err instanceof BitjangError && err.kind == 'prove' && this.meet(described(err.code, err.problem))
  }

  /** Whether the proof was given. */
  meet(needed: StepUp | true): Promise<boolean> {
    if (needed === true) return Promise.resolve(true)
    return (this.meeting ??= this.begin(needed).finally(() => (this.meeting = undefined)))
  }

  private async begin(needed: StepUp): Promise<boolean> {
    this.keeper.emit('stepup', needed)
    return !!(await this.hook?.(needed))
  }
}
