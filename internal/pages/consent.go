package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/i18n"
)

// scope is something that an application asks for. What has no words is shown by
// its name.
type scope struct {
	Name string
	Text string
}

// knownScopes are those that have words, in the order in which people read them.
var knownScopes = []string{"openid", "profile", "email", "roles", "offline_access"}

// inScopes says what scopes mean, those without words last.
func inScopes(say *i18n.Printer, names []string) []scope {
	var list []scope
	place := func(name string) int {
		if i := slices.Index(knownScopes, name); i >= 0 {
			return i
		}
		return len(knownScopes)
	}
	names = slices.SortedStableFunc(slices.Values(names), func(a, b string) int { return place(a) - place(b) })
	for _, name := range names {
		s := scope{Name: name}
		if id := "scope." + name; say.Has(id) {
			s.Text = say.T(id)
		}
		list = append(list, s)
	}
	return list
}

// consentPage asks whether an application may have what it asks for.
type consentPage struct {
	frame
	Client  string
	Own     bool   // of whoever runs this service
	Host    string // that the answer goes to; "": to an app on this very device
	Scheme  string // of such an app, if it has one of its own
	Scopes  []scope
	Name    string // of the person
	Email   string
	Request string // sealed for this session
	Back    string // to the request
}

// consent shows the page. The request is sealed for the session of whoever looks
// at it, so that no other session can answer, and nobody can make up an answer.
func (p *Pages) consent(w http.ResponseWriter, r *http.Request, a bitjang.Authorization, login *bitjang.Identity, back string) error {
	sess := &login.Session
	sealed, err := p.Service.SealRequest(a.Input, sess.ID.String())
	if err != nil {
		return err
	}
	u, err := p.Service.User(r.Context(), sess.UserID)
	if err != nil {
		return err
	}
	v := &consentPage{
		Client: a.Client.Name, Own: a.Client.FirstParty, Scopes: inScopes(p.printer(r), a.Scopes),
		Name: u.Name, Email: u.Email, Request: sealed, Back: back,
	}
	v.Host, v.Scheme = whereTo(a.Input.RedirectURI)
	return p.show(w, r, http.StatusOK, "consent", v)
}

// whereTo says who gets the answer: a host, or an app on the person's own device.
func whereTo(redirectURI string) (host, scheme string) {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return "", ""
	case u.Scheme == "https":
		return u.Host, ""
	case u.Scheme == "http": // it is of a loopback address
		return "", ""
	}
	return "", u.Scheme
}

// Consent is POST /oauth2/authorize/consent: the person's answer.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request) error {
	login, _, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	if login == nil { // logged out or put on hold meanwhile: from the beginning
		back := parseLocalPath(r.PostFormValue("return_to")).String()
		if !isAuthorize(back) {
			return bitjang.ErrRequestExpired
		}
		return p.forward(w, r, back, "")
	}
	in, err := p.Service.OpenRequest(r.PostFormValue("request"), login.Session.ID.String())
	if err != nil {
		return err
	}
	answer := bitjang.Refused // whatever is not the one answer that gives something
	if strings.EqualFold(r.PostFormValue("answer"), "allow") {
		answer = bitjang.Allowed
	}
	return p.authorize(w, r, authorizing{in, login, nil, answer})
}
