package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// ForwardAuth is GET /forward-auth: a proxy asks whether a request may go on,
// and passes the answer's headers along. The request's own method and body do
// not matter, and neither do its X-Auth-* headers.
//
// After a rotation the cookies are in Set-Cookie and, because nginx cannot pass
// on two headers of one name, each alone in X-Auth-Cookie-Access and
// X-Auth-Cookie-Refresh, with the Cache-Control that the proxied answer needs
// in X-Auth-Cache-Control.
func (a *API) ForwardAuth(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w)
	ad, err := a.Service.Admit(r.Context(), a.Edge.AdmitInput(r))
	if err != nil {
		return a.refuseForwarded(w, r, err)
	}
	h := w.Header()
	h.Set("X-Auth-User", ad.Session.UserID)
	h.Set("X-Auth-Session", ad.Session.ID.String())
	h.Set("X-Auth-Roles", strings.Join(ad.Session.Roles, ","))
	if ad.Tokens != nil {
		cookies := web.TokenCookies(*ad.Tokens)
		web.SetTokens(w, *ad.Tokens)
		h.Set("X-Auth-Cookie-Access", cookies[0].String())
		h.Set("X-Auth-Cookie-Refresh", cookies[1].String())
		h.Set("X-Auth-Cache-Control", "private, no-store")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// refuseForwarded answers 401, 403 or 503 and nothing else, because nginx knows
// nothing else; X-Auth-Reason tells the code. A proxy that passes redirects on
// may ask for one with ?login=redirect.
func (a *API) refuseForwarded(w http.ResponseWriter, r *http.Request, err error) error {
	p := *web.ProblemOf(a.withStepUp(err))
	if p.Status == http.StatusConflict {
		p.Status = http.StatusUnauthorized
	}
	w.Header().Set("X-Auth-Reason", p.Code)
	superseded := p.Code == bitjang.ErrSuperseded.Reason // the browser holds newer cookies: no need to log in
	if p.Status == http.StatusUnauthorized && !superseded && r.URL.Query().Get("login") == "redirect" && web.IsNavigation(r) {
		w.Header().Set("Location", a.loginLocation(r))
		w.WriteHeader(http.StatusFound)
		return nil
	}
	return &p
}

// loginLocation is the login page with the way back. The page checks where it
// leads: this is only what a proxy said.
func (a *API) loginLocation(r *http.Request) string {
	uri, host, proto := r.Header.Get("X-Forwarded-Uri"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto")
	if !strings.HasPrefix(uri, "/") || host == "" || !a.Edge.FromTrustedProxy(r) {
		return a.LoginURL
	}
	back := url.URL{Scheme: proto, Host: host}
	q := url.Values{"return_to": {back.String() + uri}}
	separator := "?"
	if strings.Contains(a.LoginURL, "?") {
		separator = "&"
	}
	return a.LoginURL + separator + q.Encode()
}
