// A page that logs people in with oidc-client-ts, which knows nothing of Bitjang.
// Only the issuer's URL and the client are configured.
import { UserManager, WebStorageStateStore } from 'oidc-client-ts'

const show = (id, text) => { document.getElementById(id).textContent = text }
const { authority, client_id } = await (await fetch('/settings.json')).json()
const here = location.origin + '/'

const manager = new UserManager({
  authority,
  client_id,
  redirect_uri: here,
  post_logout_redirect_uri: here,
  scope: 'openid email',
  // All tabs share one login. The library does not keep two of them from
  // refreshing at once with the same refresh token, and with Bitjang it need not.
  userStore: new WebStorageStateStore({ store: localStorage }),
  automaticSilentRenew: true,
  accessTokenExpiringNotificationTimeInSeconds: 1, // the library's own 60 suits tokens of ten minutes
})

let tokens = 0
const loggedIn = (user) => { show('user', user?.profile.sub ?? 'nobody'); if (user) show('tokens', ++tokens) }
manager.events.addUserLoaded(loggedIn)
manager.events.addUserUnloaded(() => loggedIn(null))
// Without an answer nobody is logged out; with a refusal the login is over.
manager.events.addSilentRenewError(async (err) => {
  if (err.error === 'invalid_grant') await manager.removeUser()
  show('answer', err.message)
})
// Another tab has logged out.
addEventListener('storage', async () => { if (!await manager.getUser()) await manager.removeUser() })

const query = new URLSearchParams(location.search)
if (query.has('code') || query.has('error')) {
  await manager.signinRedirectCallback().catch((err) => show('answer', err.message))
  history.replaceState(null, '', '/')
} else if (query.has('state')) {
  await manager.signoutRedirectCallback()
  history.replaceState(null, '', '/')
} else {
  loggedIn(await manager.getUser())
}
if (!await manager.getUser()) loggedIn(null)

document.getElementById('login').onclick = () => manager.signinRedirect()
document.getElementById('logout').onclick = () => manager.signoutRedirect()
document.getElementById('call').onclick = async () => {
  const user = await manager.getUser()
  const answer = await fetch(await manager.metadataService.getUserInfoEndpoint(), { headers: { authorization: `Bearer ${user?.access_token}` } })
  show('answer', `${answer.status} ${(await answer.json().catch(() => ({}))).email ?? ''}`.trim())
}
document.body.dataset.ready = 'yes'
