import { expect } from '@playwright/test'
import { linkIn } from './mail.js'

// Visitor does what people do, by clicks on what they can see.
export class Visitor {
  constructor(page, person, mail, t) {
    Object.assign(this, { page, person, mail, t })
  }

  password() { return this.page.getByLabel(this.t('field.password'), { exact: true }) }
  field(id) { return this.page.getByLabel(this.t(id)) }
  button(id) { return this.page.getByRole('main').getByRole('button', { name: this.t(id), exact: true }) }
  link(id) { return this.page.getByRole('main').getByRole('link', { name: this.t(id), exact: true }) }
  nav(id) { return this.page.getByRole('navigation').getByRole('link', { name: this.t(id), exact: true }) }
  title(id, vars) { return expect(this.page.getByRole('heading', { level: 1 })).toHaveText(this.t(id, vars)) }
  notice(id) { return expect(this.page.getByRole('status')).toHaveText(this.t(`notice.${id}`)) }
  problem(id) { return expect(this.page.getByRole('alert')).toHaveText(this.t(`error.${id}`)) }
  // refused is what a login says where addresses must be verified: never which of the reasons it was.
  refused() { return this.problem('invalid_credentials_or_unverified') }
  // device is the card of a device on the activity page.
  device(name) {
    return this.page.getByRole('main').getByRole('listitem')
      .filter({ has: this.page.getByRole('heading', { level: 2 }), hasText: name })
  }

  subject(kind) { return this.t(`mail.${kind}.subject`, { Service: 'Bitjang' }) }
  mailed(kind, since) { return this.mail.next(this.person.email, since, this.subject(kind)) }

  async signUp() {
    await this.page.goto('/signup')
    await this.field('field.name').fill(this.person.name)
    await this.field('field.email').fill(this.person.email)
    await this.password().fill(this.person.password)
    await this.button('signup.button').click()
    await this.title('signup.done.title')
  }

  async signUpAndVerify() {
    const since = this.mail.mark()
    await this.signUp()
    await this.page.goto(linkIn(await this.mailed('verify_email', since), '/account/verify-email'))
    await this.button('verify.button').click()
    await this.notice('verified')
  }

  async typeLogin(password = this.person.password) {
    await this.field('field.email').fill(this.person.email)
    await this.password().fill(password)
    await this.button('login.button').click()
  }

  async logIn(password = this.person.password) {
    await this.page.goto('/login')
    await this.typeLogin(password)
    await this.isIn()
  }

  async logOut() {
    await this.page.getByRole('navigation').getByRole('button', { name: this.t('nav.logout') }).click()
    await this.notice('logged_out')
  }

  async isIn() {
    await expect(this.page).toHaveURL('/account')
    await this.title('account.hello', { Name: this.person.name })
  }

  // isOutAt opens a page of the account and is sent to log in instead.
  async isOutAt(path) {
    await this.page.goto(path)
    await expect(this.page).toHaveURL(`/login?return_to=${encodeURIComponent(path)}`)
    await this.title('login.title')
  }
}
