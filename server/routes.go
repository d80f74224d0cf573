package server

import (
	"github.com/bitjang/bitjang/internal/api"
	"github.com/bitjang/bitjang/internal/oauth"
	"github.com/bitjang/bitjang/internal/pages"
	"github.com/bitjang/bitjang/internal/web"
)

// audience says who calls a route, and so what stands before its handler.
type audience int

const (
	public audience = iota // anybody, no credentials: documents and health
	apiUse                 // programs and scripts; guarded against other sites' pages
	client                 // clients of OAuth, which say who they are themselves; errors are RFC 6749's
	proxy                  // a reverse proxy on behalf of a request
	page                   // people in browsers; guarded against other sites' pages, errors are pages
	front                  // the same, sent here by other sites: nothing there is done for the asking
	stream                 // programs that stay: no limit of time
)

type route struct {
	pattern string
	audience
	handle web.Handler
}

// routes is the whole HTTP surface. Nothing is reachable any other way.
func routes(a *api.API, o *oauth.OAuth, people *pages.Pages) []route {
	list := []route{
		{"POST /v1/signup", apiUse, a.Signup},
		{"POST /v1/login", apiUse, a.Login},
		{"POST /v1/login/link", apiUse, a.SendLoginLink},
		{"POST /v1/login/link/use", apiUse, a.UseLoginLink},
		{"POST /v1/login/verify", apiUse, a.VerifyLogin},
		{"POST /v1/login/code", apiUse, a.SendCode},
		{"POST /v1/login/passkey", apiUse, a.PasskeyLogin},
		{"POST /v1/step-up", apiUse, a.StepUp},
		{"GET /v1/factors", apiUse, a.Factors},
		{"POST /v1/factors/totp/begin", apiUse, a.BeginTOTP},
		{"POST /v1/factors/totp/confirm", apiUse, a.ConfirmTOTP},
		{"POST /v1/factors/passkey/begin", apiUse, a.BeginPasskey},
		{"POST /v1/factors/passkey/confirm", apiUse, a.ConfirmPasskey},
		{"POST /v1/recovery-codes", apiUse, a.RecoveryCodes},
		{"PATCH /v1/factors/{id}", apiUse, a.RenameFactor},
		{"DELETE /v1/factors/{id}", apiUse, a.RemoveFactor},
		{"POST /v1/refresh", apiUse, a.Refresh},
		{"POST /v1/logout", apiUse, a.Logout},
		{"POST /v1/logout-all", apiUse, a.LogoutAll},
		{"GET /v1/sessions", apiUse, a.Sessions},
		{"PATCH /v1/sessions/{id}", apiUse, a.NameSession},
		{"DELETE /v1/sessions/{id}", apiUse, a.EndSession},
		{"POST /v1/sessions/{id}/disown", apiUse, a.Disown},
		{"GET /v1/me", apiUse, a.Me},
		{"PATCH /v1/me", apiUse, a.PatchMe},
		{"POST /v1/me/delete", apiUse, a.DeleteMe},
		{"GET /v1/me/export", apiUse, a.Export},
		{"POST /v1/password", apiUse, a.Password},
		{"POST /v1/password/forgot", apiUse, a.ForgotPassword},
		{"POST /v1/password/reset", apiUse, a.ResetPassword},
		{"POST /v1/email", apiUse, a.ChangeEmail},
		{"POST /v1/email/confirm", apiUse, a.ConfirmEmail},
		{"POST /v1/email/verify", apiUse, a.VerifyEmail},
		{"POST /v1/email/verify/send", apiUse, a.SendVerification},
		{"GET /v1/activity", apiUse, a.Activity},

		{"GET /v1/revocations", stream, a.Revocations},
		{"POST /v1/seen", apiUse, a.Seen},

		{"GET /forward-auth", proxy, a.ForwardAuth},

		{"POST /oauth2/token", client, o.Token},
		{"POST /oauth2/revoke", client, o.Revoke},
		{"POST /oauth2/introspect", client, o.Introspect},
		{"GET /oauth2/userinfo", public, o.UserInfo},
		{"POST /oauth2/userinfo", public, o.UserInfo},

		{"GET /.well-known/openid-configuration", public, o.Metadata},
		{"GET /.well-known/oauth-authorization-server", public, o.Metadata},
		{"GET /.well-known/jwks.json", public, o.JWKS},
		{"GET /openapi.json", public, openAPI},
		{"GET /healthz", public, a.Healthz},
		{"GET /readyz", public, a.Readyz},
	}
	if o != nil && o.Path != "" {
		// RFC 8414 section 3 puts the issuer's path behind the well-known one, and
		// clients of OpenID Connect try that too.
		list = append(list,
			route{"GET /.well-known/oauth-authorization-server" + o.Path, public, o.Metadata},
			route{"GET /.well-known/openid-configuration" + o.Path, public, o.Metadata})
	}
	if people != nil {
		for _, rt := range people.Routes() {
			who := page
			if rt.Open {
				who = front
			}
			list = append(list, route{rt.Pattern, who, rt.Handle})
		}
	}
	return list
}
