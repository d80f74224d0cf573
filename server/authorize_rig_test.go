package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B
	notesURI = "https://notes.example.com/callback?tenant=7"
	notesBye = "https://notes.example.com/bye"
)

// relying is an application that logs people in through the server.
type relying struct {
	r      *rig
	client bitjang.Client
	secret bitjang.Secret
}

// addClient registers an application that is not the operator's own, unless edit
// makes it one.
func (r *rig) addClient(edit ...func(*bitjang.Client)) relying {
	r.t.Helper()
	c := bitjang.Client{
		Name: "Notes & Co", RedirectURIs: []string{notesURI}, LogoutURIs: []string{notesBye},
		Scopes: []string{"openid", "profile", "email", "offline_access", "roles", "notes:read"},
	}
	for _, e := range edit {
		e(&c)
	}
	c, secret, err := r.svc.AddClient(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return relying{r, c, secret}
}

func firstParty(c *bitjang.Client) { c.FirstParty = true }

// values is a request in order, but for what the pairs change; "-" leaves out.
func (a relying) values(pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {a.client.ID}, "redirect_uri": {a.client.RedirectURIs[0]},
		"scope": {"openid profile"}, "state": {"st-8 &?=#"}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			v.Del(pairs[i])
		}
	}
	return v
}

// ask sends a browser with a request.
func (a relying) ask(p *person, pairs ...string) screen {
	p.t.Helper()
	return p.get("/oauth2/authorize?" + a.values(pairs...).Encode())
}

// answered looks whether a redirect leads to the application and is complete, and
// returns its parameters.
func (a relying) answered(t *testing.T, target string) url.Values {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	u.RawQuery = ""
	registered, _ := url.Parse(a.client.RedirectURIs[0])
	for name := range registered.Query() {
		if q.Get(name) != registered.Query().Get(name) {
			t.Errorf("got %s without %s, which is a part of the redirect URI", target, name)
		}
	}
	registered.RawQuery = ""
	if u.String() != registered.String() {
		t.Fatalf("led to %q, want the application", target)
	}
	if q.Get("iss") != a.r.svc.Issuer() {
		t.Errorf("got iss %q, want %q", q.Get("iss"), a.r.svc.Issuer())
	}
	if q.Get("state") != "st-8 &?=#" {
		t.Errorf("got state %q", q.Get("state"))
	}
	return q
}

// at once looks for a redirect to the application.
func (a relying) atOnce(t *testing.T, s screen) url.Values {
	t.Helper()
	if s.status != 303 {
		t.Fatalf("%s: got %d, want 303 to the application: %s", s.at, s.status, s.body)
	}
	return a.answered(t, s.header.Get("Location"))
}

// fails looks for an error at the application.
func (a relying) fails(t *testing.T, s screen, word string) {
	t.Helper()
	if q := a.atOnce(t, s); q.Get("error") != word || q.Has("code") {
		t.Errorf("got %v, want the error %s", q, word)
	}
}

// finds follows a browser to the application and returns what it finds there.
func (a relying) finds(t *testing.T, p *person, s screen) url.Values {
	t.Helper()
	s, left := p.follow(s)
	if left == "" {
		t.Fatalf("%s: got a page, not the application: %s", s.at, s.body)
	}
	return a.answered(t, left)
}

// redeem turns the code into tokens.
func (a relying) redeem(t *testing.T, q url.Values) bitjang.Tokens {
	t.Helper()
	if q.Get("code") == "" {
		t.Fatalf("got %v, want a code", q)
	}
	tk, err := a.r.svc.Grant(t.Context(), bitjang.GrantInput{
		Client: bitjang.ClientCredentials{ID: a.client.ID, Secret: a.secret}, Type: bitjang.GrantAuthorizationCode,
		Code: bitjang.NewSecret(q.Get("code")), RedirectURI: a.client.RedirectURIs[0], Verifier: bitjang.NewSecret(verifier),
	})
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	return tk
}

// follow goes where a browser goes by itself, until it sees a page or leaves the
// site. Whatever follows a form must stay on the site: form-action says 'self'.
func (p *person) follow(s screen) (page screen, left string) {
	p.t.Helper()
	form := s.form
	for range 10 {
		next := s.header.Get("Location")
		if refresh, ok := strings.CutPrefix(s.header.Get("Refresh"), "0;url="); ok && s.status == 200 {
			if next = refresh; !strings.Contains(html.UnescapeString(s.body), `href="`+next+`"`) {
				p.t.Errorf("%s: has no link to %s for who does not go on by themselves", s.at, next)
			}
			form = false
		} else if s.status/100 != 3 {
			return s, ""
		}
		if !strings.HasPrefix(next, "/") {
			if form {
				p.t.Errorf("%s: a redirect after a form leads to %s, and the browser stops it", s.at, next)
			}
			return s, next
		}
		s = p.get(next)
	}
	p.t.Fatalf("%s: no end", s.at)
	return s, ""
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fill sends the form of a page that goes to a path, with its hidden fields.
func (p *person) fill(s screen, action string, pairs ...string) screen {
	p.t.Helper()
	_, form, ok := strings.Cut(s.body, `action="`+action+`"`)
	if !ok {
		p.t.Fatalf("%s: has no form to %s: %d %s", s.at, action, s.status, s.body)
	}
	form, _, _ = strings.Cut(form, "</form>")
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		pairs = append(pairs, m[1], html.UnescapeString(m[2]))
	}
	return p.post(action, pairs...)
}

// logs in on the login page that somebody sees.
func (p *person) logsIn(s screen) screen {
	p.t.Helper()
	return p.fill(s, "/login", "email", alice, "password", password)
}

// answers the question of the consent page.
func (p *person) answers(s screen, answer string) screen {
	p.t.Helper()
	return p.fill(s, "/oauth2/authorize/consent", "answer", answer)
}

// in is somebody who is logged in.
func in(p *person) *person {
	p.t.Helper()
	p.leads(p.post("/login", "email", alice, "password", password), "/account")
	return p
}

// holdLogin has an old refresh token of a browser's come back.
func (r *rig) holdLogin(p *person) {
	p.t.Helper()
	base, _ := url.Parse(p.base)
	old := ""
	for _, c := range p.jar.Cookies(base) {
		if c.Name == rtCookie {
			old = c.Value
		}
	}
	for range 4 {
		r.clock.advance(11 * time.Minute)
		p.get("/account").want(p.t, 200)
	}
	r.refresh(old, agent(browser)).want(403, "step_up_required")
}
