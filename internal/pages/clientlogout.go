package pages

import (
	"net/http"
	"net/url"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

const (
	logoutPath  = "/oauth2/logout"
	confirmPath = logoutPath + "/confirm"
)

// openToSites are the pages to which other sites may send a browser with a form:
// what they do nobody else can misuse, or they ask first.
var openToSites = []string{authorizePath, logoutPath}

// ClientLogout is GET and POST /oauth2/logout (OpenID Connect RP-Initiated Logout
// section 2).
func (p *Pages) ClientLogout(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost && !web.HasTokens(r) {
		// As at the authorization endpoint: the cookies come with the GET.
		return goTo(w, r, local(logoutPath, logoutPairs(r)...))
	}
	return p.logOutFor(w, r, false)
}

// ConfirmClientLogout is POST /oauth2/logout/confirm: the person has been asked.
func (p *Pages) ConfirmClientLogout(w http.ResponseWriter, r *http.Request) error {
	return p.logOutFor(w, r, true)
}

// logoutParams are the parameters of a logout request that mean something to us.
var logoutParams = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

func logoutPairs(r *http.Request) (pairs []string) {
	for _, name := range logoutParams {
		pairs = append(pairs, name, logoutValue(r, name))
	}
	return pairs
}

// logoutValue is a parameter of a logout request. Of two neither is meant.
func logoutValue(r *http.Request, name string) string {
	values := url.Values{}
	if err := r.ParseForm(); err == nil {
		values = r.Form
	}
	if r.Method == http.MethodPost {
		values = r.PostForm
	}
	if len(values[name]) > 1 {
		return ""
	}
	return values.Get(name)
}

func (p *Pages) logOutFor(w http.ResponseWriter, r *http.Request, confirmed bool) error {
	login, held, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	if held != nil && !confirmed {
		return p.askToLogOut(w, r, nil) // whose the login is, only its person can say
	}
	in := bitjang.ClientLogoutInput{
		IDTokenHint: bitjang.NewSecret(logoutValue(r, "id_token_hint")), ClientID: logoutValue(r, "client_id"),
		RedirectURI: logoutValue(r, "post_logout_redirect_uri"), State: logoutValue(r, "state"), Confirmed: confirmed,
	}
	var sess *bitjang.Session
	if login != nil {
		sess = &login.Session
	}
	out, err := p.Service.LogoutForClient(r.Context(), in, sess, p.caller(r))
	switch {
	case err != nil:
		return err
	case out.Ask:
		return p.askToLogOut(w, r, out.Client)
	case held != nil:
		tokens := p.Edge.AdmitInput(r)
		err := p.Service.Logout(r.Context(), bitjang.LogoutInput{Access: tokens.Access, Refresh: tokens.Refresh, Caller: p.caller(r)})
		if err != nil && bitjang.AsError(err).Code == bitjang.Unavailable {
			return err
		}
	}
	if login != nil || held != nil {
		forget(w)
	}
	if out.URL != "" {
		return p.forward(w, r, out.URL, out.Client.Name)
	}
	return goTo(w, r, "/login?notice=logged_out")
}

// askToLogOut asks before anything ends: any page can send a browser here.
func (p *Pages) askToLogOut(w http.ResponseWriter, r *http.Request, c *bitjang.Client) error {
	say := p.printer(r)
	v := &confirmPage{
		Title: say.T("logout.title"), Text: say.T("logout.asked"), Button: say.T("nav.logout"), Action: confirmPath, Back: home,
	}
	if c != nil {
		v.Text = say.T("logout.client", "Client", c.Name)
	}
	for _, name := range logoutParams {
		if value := logoutValue(r, name); value != "" {
			v.Hidden = append(v.Hidden, hidden{name, value})
		}
	}
	return p.show(w, r, http.StatusOK, "confirm", v)
}
