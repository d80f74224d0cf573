package pages

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// authorizePath is the authorization endpoint. askedParam is the parameter with
// which a request comes back to it from our own pages, sealed: it is then long
// checked, and nobody else can make one.
const (
	authorizePath = "/oauth2/authorize"
	consentPath   = authorizePath + "/consent"
	askedParam    = "asked"
)

// Authorize is GET and POST /oauth2/authorize (RFC 6749 section 3.1, OpenID
// Connect Core section 3.1.2). Any site may send a browser here, also with a form.
func (p *Pages) Authorize(w http.ResponseWriter, r *http.Request) error {
	in, err := p.authorizeInput(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost && !web.HasTokens(r) {
		// Cookies with SameSite=Lax do not come with another site's form, but with
		// the GET that follows from it.
		return p.back(w, r, in)
	}
	login, held, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	return p.authorize(w, r, authorizing{in, login, held, bitjang.NotAsked})
}

// authorizeInput reads an authorization request, or one of ours that comes back.
func (p *Pages) authorizeInput(r *http.Request) (bitjang.AuthorizeInput, error) {
	if err := r.ParseForm(); err != nil {
		return bitjang.AuthorizeInput{}, web.Refuse(http.StatusBadRequest, "invalid_request", err.Error())
	}
	values := r.Form
	if r.Method == http.MethodPost {
		values = r.PostForm // a form's own fields, whatever stands in its address
	}
	if sealed := values.Get(askedParam); sealed != "" {
		return p.Service.OpenRequest(sealed, "")
	}
	return parseAuthorize(values), nil
}

// parseAuthorize reads the parameters. An empty one counts as left out, and what
// is unknown is ignored (RFC 6749 section 3.1).
func parseAuthorize(values url.Values) bitjang.AuthorizeInput {
	repeated := false
	// exact is for what must not be guessed: of two, neither is meant.
	exact := func(name string) string {
		if len(values[name]) > 1 {
			return ""
		}
		return values.Get(name)
	}
	for name, list := range values {
		repeated = repeated || len(list) > 1 && name != "resource"
	}
	return bitjang.AuthorizeInput{
		ResponseType: values.Get("response_type"), ResponseMode: values.Get("response_mode"),
		ClientID: exact("client_id"), RedirectURI: exact("redirect_uri"),
		Scope: values.Get("scope"), State: values.Get("state"), Nonce: values.Get("nonce"),
		Challenge: values.Get("code_challenge"), ChallengeMethod: values.Get("code_challenge_method"),
		// Of several resources a token here is for one at most (RFC 8707 section 2
		// lets us refuse): together they are one that nobody has.
		Resource: strings.Join(values["resource"], " "),
		Prompt:   values.Get("prompt"), MaxAge: values.Get("max_age"), ACRValues: values.Get("acr_values"),
		LoginHint: values.Get("login_hint"), IDTokenHint: values.Get("id_token_hint"),
		KeyThumbprint: values.Get("dpop_jkt"), UILocales: values.Get("ui_locales"),
		Repeated: repeated, Request: values.Get("request") != "", RequestURI: values.Get("request_uri") != "",
	}
}

// visitor finds out who is in front of the browser, nil for nobody. held is the
// refusal of a login that waits for its person to prove who they are.
func (p *Pages) visitor(w http.ResponseWriter, r *http.Request) (login *bitjang.Identity, held, err error) {
	who, err := p.admit(w, r)
	switch {
	case err == nil:
		return &who.Identity, nil, nil
	case errors.Is(err, bitjang.ErrStepUpRequired):
		return nil, err, nil
	}
	switch bitjang.AsError(err).Code {
	case bitjang.Unauthenticated, bitjang.NotFound:
		return nil, nil, nil
	}
	return nil, nil, err
}

// authorizing is an authorization request and who has come with it.
type authorizing struct {
	bitjang.AuthorizeInput
	login  *bitjang.Identity
	held   error
	answer bitjang.ConsentAnswer
}

// authorize does what the rules say comes next.
func (p *Pages) authorize(w http.ResponseWriter, r *http.Request, in authorizing) error {
	a, err := p.Service.Authorize(r.Context(), in.AuthorizeInput, in.login, in.answer, p.caller(r))
	if errors.Is(err, bitjang.ErrNoSuchClient) {
		// Not the page that is missing, but what the application says of itself.
		return web.Refuse(http.StatusBadRequest, bitjang.ErrNoSuchClient.Reason, bitjang.ErrNoSuchClient.Message)
	}
	if err != nil {
		return err
	}
	if a.Step == bitjang.AuthorizeRedirect {
		return p.forward(w, r, a.URL, a.Client.Name)
	}
	back, err := p.wayBack(a.Input)
	if err != nil {
		return err
	}
	switch {
	case in.held != nil:
		return p.ask(w, r, in.held, back)
	case a.Step == bitjang.AuthorizeLogin:
		return goTo(w, r, local("/login", "return_to", back))
	case a.Step == bitjang.AuthorizeOther:
		return goTo(w, r, local("/login", "other", "1", "return_to", back))
	case a.Step == bitjang.AuthorizeProve:
		web.SetChallenge(w, a.Challenge, p.Service.Now())
		return goTo(w, r, local(askPath, "return_to", back))
	}
	return p.consent(w, r, a, in.login, back)
}

// wayBack is a path that leads back to an authorization request.
func (p *Pages) wayBack(in bitjang.AuthorizeInput) (string, error) {
	sealed, err := p.Service.SealRequest(in, "")
	if err != nil {
		return "", err
	}
	back := local(authorizePath, askedParam, sealed)
	if len(back) > maxLocalPath {
		return "", web.Refuse(http.StatusRequestURITooLong, "request_too_long", "The parameters of the request are too long.")
	}
	return back, nil
}

// back sends the browser back to the authorization endpoint.
func (p *Pages) back(w http.ResponseWriter, r *http.Request, in bitjang.AuthorizeInput) error {
	back, err := p.wayBack(in)
	if err != nil {
		return err
	}
	return goTo(w, r, back)
}

// onwardPage leads on by itself, and has a link for where it does not.
type onwardPage struct {
	frame
	Client string
	URL    template.URL
}

// forward sends the browser on to an application, or to a request of one. After
// one of our own forms it does so with a page and the Refresh field instead of a
// redirect: browsers hold every redirect that follows a form, the application's
// own ones included, against the form-action of the page that the form was on.
// Nobody can list where an application redirects to, and without form-action an
// injected form could send a password anywhere. A Refresh begins anew, it works
// without scripts, and it works for addresses that form-action cannot express
// (http://[::1], an app's own scheme).
func (p *Pages) forward(w http.ResponseWriter, r *http.Request, target, client string) error {
	if !p.ownForm(r) {
		return goTo(w, r, target)
	}
	w.Header().Set("Refresh", "0;url="+target)
	// The rules have made the address, or it is our own: no script can be in it.
	return p.show(w, r, http.StatusOK, "onward", &onwardPage{Client: client, URL: template.URL(target)})
}

// ownForm tells whether a form of ours was sent, and not one of another site's.
func (p *Pages) ownForm(r *http.Request) bool {
	return r.Method == http.MethodPost && !slices.Contains(openToSites, r.URL.Path)
}

// onFrom sends the browser on after a login or a proof.
func (p *Pages) onFrom(w http.ResponseWriter, r *http.Request, target string) error {
	if isAuthorize(target) {
		return p.forward(w, r, target, "")
	}
	return goTo(w, r, target)
}

func isAuthorize(target string) bool { return strings.HasPrefix(target, authorizePath+"?") }

// asked is the authorization request that a page of ours is shown for, if it is
// for one: by where it leads back to, or because it is the endpoint itself.
func (p *Pages) asked(r *http.Request) (bitjang.AuthorizeInput, bool) {
	if r.URL.Path == authorizePath {
		in, err := p.authorizeInput(r)
		return in, err == nil
	}
	text := r.FormValue("return_to")
	if !isAuthorize(text) {
		return bitjang.AuthorizeInput{}, false
	}
	u, err := url.Parse(text)
	if err != nil {
		return bitjang.AuthorizeInput{}, false
	}
	in, err := p.Service.OpenRequest(u.Query().Get(askedParam), "")
	return in, err == nil
}

// locales are the languages that the application asks for, at most a few
// (ui_locales of OpenID Connect Core section 3.1.2.1).
func (p *Pages) locales(r *http.Request) []string {
	in, ok := p.asked(r)
	if !ok {
		return nil
	}
	list := strings.Fields(in.UILocales)
	return list[:min(len(list), 8)]
}
