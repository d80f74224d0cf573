package server_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bitjang/bitjang"
)

const callback = "https://app.example.com/callback"

// tokenRig is a rig with clients of every kind, and alice logged in.
type tokenRig struct {
	*rig
	user     bitjang.User
	login    tokens
	public   bitjang.Client
	third    bitjang.Client // confidential, of somebody else
	machine  bitjang.Client
	resource bitjang.Client // a resource server
	secrets  map[string]string
}

const api = "https://api.example.com"

func newTokenRig(t *testing.T, choose ...func(*setup)) *tokenRig {
	t.Helper()
	r := &tokenRig{rig: newRig(t, choose...), secrets: map[string]string{}}
	r.user = r.addUser(alice, "editor")
	r.login = r.rig.login()
	r.public = r.add(bitjang.Client{Name: "App", Auth: bitjang.ClientPublic, FirstParty: true, RedirectURIs: []string{callback, "http://127.0.0.1/cb"}, Scopes: []string{"openid", "profile", "email", "offline_access", "roles", "notes"}})
	r.third = r.add(bitjang.Client{Name: "Notes", RedirectURIs: []string{callback}, Resources: []string{api, "https://other.example.com"}})
	r.machine = r.add(bitjang.Client{Name: "Job", GrantTypes: []string{bitjang.GrantClientCredentials}, Scopes: []string{"a", "b"}, Resources: []string{api}})
	r.resource = r.add(bitjang.Client{Name: "API", GrantTypes: []string{bitjang.GrantClientCredentials}, Resources: []string{api}})
	return r
}

func (r *tokenRig) add(c bitjang.Client) bitjang.Client {
	r.t.Helper()
	added, secret, err := r.svc.AddClient(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.secrets[added.ID] = secret.Reveal()
	return added
}

// form sends a form; empty values are sent too.
func (r *tokenRig) form(path string, values url.Values, mods ...mod) *answer {
	r.t.Helper()
	return r.raw(path, values.Encode(), mods...)
}

func (r *tokenRig) raw(path, body string, mods ...mod) *answer {
	r.t.Helper()
	mods = append([]mod{func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }}, mods...)
	return r.do("POST", path, body, mods...)
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// as adds who a client is, by client_secret_post.
func (r *tokenRig) as(c bitjang.Client, v url.Values) url.Values {
	v.Set("client_id", c.ID)
	if secret := r.secrets[c.ID]; secret != "" {
		v.Set("client_secret", secret)
	}
	return v
}

// granted is a code and what belongs to it.
type granted struct {
	client         bitjang.Client
	code, verifier string
	redirect       string
}

func newVerifier() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize gets a code for a client, alice being logged in and willing.
func (r *tokenRig) authorize(c bitjang.Client, scope string, change ...func(*bitjang.AuthorizeInput)) granted {
	r.t.Helper()
	g := granted{client: c, redirect: callback}
	in := bitjang.AuthorizeInput{ResponseType: "code", ClientID: c.ID, RedirectURI: callback, Scope: scope, State: "st", ChallengeMethod: "S256"}
	g.verifier, in.Challenge = newVerifier()
	for _, f := range change {
		f(&in)
	}
	id, err := r.svc.Authenticate(r.t.Context(), bitjang.NewSecret(r.login.access))
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.svc.Authorize(r.t.Context(), in, &id, bitjang.Allowed, bitjang.Caller{})
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse(a.URL)
	if err != nil || a.Step != bitjang.AuthorizeRedirect || u.Query().Get("code") == "" {
		r.t.Fatalf("got %+v %v", a, err)
	}
	g.code = u.Query().Get("code")
	return g
}

func (r *tokenRig) exchange(g granted, mods ...mod) *answer {
	r.t.Helper()
	return r.form("/oauth2/token", r.as(g.client, values("grant_type", "authorization_code", "code", g.code, "redirect_uri", g.redirect, "code_verifier", g.verifier)), mods...)
}

func (r *tokenRig) refreshFor(c bitjang.Client, token string, mods ...mod) *answer {
	r.t.Helper()
	return r.form("/oauth2/token", r.as(c, values("grant_type", "refresh_token", "refresh_token", token)), mods...)
}

// grants is authorize and exchange.
func (r *tokenRig) grants(c bitjang.Client, scope string, mods ...mod) oauthTokens {
	r.t.Helper()
	return r.exchange(r.authorize(c, scope), mods...).oauth()
}

type oauthTokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
}

func (a *answer) oauth() (t oauthTokens) {
	a.t.Helper()
	a.want(http.StatusOK).wantHeader("Cache-Control", "no-store").decode(&t)
	if t.Access == "" {
		a.t.Fatalf("got no tokens: %s", a.Body)
	}
	return t
}

// wantError checks an error of RFC 6749 section 5.2.
func (a *answer) wantError(status int, word string, code ...string) *answer {
	a.t.Helper()
	if a.Status != status || a.text("error") != word || len(code) > 0 && a.text("code") != code[0] {
		a.t.Fatalf("got %d %s, want %d %s %v", a.Status, a.Body, status, word, code)
	}
	return a
}

// jwtPart decodes the header (0) or the claims (1) of a token.
func jwtPart(t *testing.T, token string, part int) object {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got no JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	var m object
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// sessionOf is the record behind an access token.
func (r *tokenRig) sessionOf(access string) bitjang.Session {
	r.t.Helper()
	id, err := r.svc.Authenticate(r.t.Context(), bitjang.NewSecret(access))
	if err != nil {
		r.t.Fatal(err)
	}
	return id.Session
}

// active asks about a token as a client.
func (r *tokenRig) active(c bitjang.Client, token string) object {
	r.t.Helper()
	var m object
	r.form("/oauth2/introspect", r.as(c, values("token", token))).want(200).decode(&m)
	return m
}
