// An application that lives in the browser and logs people in with oidc-client-ts,
// which knows nothing of Bitjang. Only the issuer's URL and the client are
// configured (config.js). Its client is public: what is in a page is no secret.
//
//   bitjang client add "Orders" --public --redirect-uri http://127.0.0.1:3000/ --logout-uri http://127.0.0.1:3000/
//   npm ci && BITJANG_ISSUER=http://localhost:8080 CLIENT_ID=… npm start
import { UserManager } from 'oidc-client-ts'
import config from '/config.js'

const manager = new UserManager({
  authority: config.issuer,
  client_id: config.client,
  redirect_uri: location.origin + '/',
  post_logout_redirect_uri: location.origin + '/',
  scope: 'openid email offline_access', // with a refresh token renewal needs no hidden frame
  automaticSilentRenew: true,
  accessTokenExpiringNotificationTimeInSeconds: config.early,
})
const show = (id, text) => { document.getElementById(id).value = text }
window.renewals = 0
manager.events.addUserLoaded((user) => { window.renewals++; show('user', user.profile.sub) })
manager.events.addSilentRenewError((err) => { window.renewError = err.message })

if (new URLSearchParams(location.search).has('state') && location.search.includes('code=')) {
  await manager.signinCallback()
  history.replaceState(null, '', '/')
}
show('user', (await manager.getUser())?.profile.sub ?? 'nobody')

document.getElementById('in').onclick = () => manager.signinRedirect()
document.getElementById('out').onclick = () => manager.signoutRedirect()
document.getElementById('ask').onclick = async () => {
  const user = await manager.getUser()
  const answer = await fetch(`${config.issuer}/oauth2/userinfo`, { headers: { authorization: `Bearer ${user?.access_token}` } })
  show('orders', answer.ok ? (await answer.json()).email : answer.status)
}
