package bitjang_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/jws"
)

// addClient registers a client; what it does not say is that of a web
// application with a secret.
func (r *rig) addClient(t *testing.T, c bitjang.Client) (bitjang.Client, bitjang.Secret) {
	t.Helper()
	if c.Name == "" {
		c.Name = "Notes"
	}
	if len(c.GrantTypes) == 0 && len(c.RedirectURIs) == 0 {
		c.RedirectURIs = []string{"https://notes.example.com/callback"}
	}
	added, secret, err := r.AddClient(t.Context(), c)
	if err != nil {
		t.Fatalf("AddClient: %v", err)
	}
	return added, secret
}

func TestWhatMayBeRegistered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := bitjang.Client{Name: "Notes", RedirectURIs: []string{"https://notes.example.com/callback"}}
	with := func(change func(*bitjang.Client)) bitjang.Client { c := good; change(&c); return c }
	uri := func(text string) bitjang.Client {
		return with(func(c *bitjang.Client) { c.RedirectURIs = []string{text} })
	}
	for name, tt := range map[string]struct {
		c    bitjang.Client
		want string // reason, "" if it may
	}{
		"a web application":                        {good, ""},
		"an app's own scheme (RFC 8252 7.1)":       {uri("com.example.notes:/callback"), ""},
		"a loopback address (RFC 8252 7.3)":        {uri("http://127.0.0.1/callback"), ""},
		"a loopback address of IPv6":               {uri("http://[::1]/callback"), ""},
		"localhost":                                {uri("http://localhost:3000/callback"), ""},
		"a scheme without a dot (2.1 2.3.1)":       {uri("notes:/callback"), "redirect_uri_invalid"},
		"http elsewhere (RFC 9700 2.6)":            {uri("http://notes.example.com/callback"), "redirect_uri_invalid"},
		"http to a host that begins as loopback":   {uri("http://127.0.0.1.example.com/callback"), "redirect_uri_invalid"},
		"a fragment (RFC 6749 3.1.2)":              {uri("https://notes.example.com/callback#x"), "redirect_uri_invalid"},
		"an empty fragment":                        {uri("https://notes.example.com/callback#"), "redirect_uri_invalid"},
		"a wildcard":                               {uri("https://*.example.com/callback"), "redirect_uri_invalid"},
		"a user name":                              {uri("https://notes.example.com@evil.example/"), "redirect_uri_invalid"},
		"a backslash":                              {uri(`https://notes.example.com\@evil.example/`), "redirect_uri_invalid"},
		"a script":                                 {uri("javascript:alert(1)"), "redirect_uri_invalid"},
		"data":                                     {uri("data:text/html,x"), "redirect_uri_invalid"},
		"a relative one":                           {uri("/callback"), "redirect_uri_invalid"},
		"no name":                                  {with(func(c *bitjang.Client) { c.Name = " " }), "client_invalid"},
		"an id that is a URI":                      {with(func(c *bitjang.Client) { c.ID = "https://x" }), "client_invalid"},
		"the id of our own sessions":               {with(func(c *bitjang.Client) { c.ID = "bitjang" }), "client_invalid"},
		"a way we do not know":                     {with(func(c *bitjang.Client) { c.Auth = "tls_client_auth" }), "client_invalid"},
		"a key that is missing":                    {with(func(c *bitjang.Client) { c.Auth = bitjang.ClientByKey }), "client_invalid"},
		"a public client without PKCE":             {with(func(c *bitjang.Client) { c.Auth, c.NoPKCE = bitjang.ClientPublic, true }), "client_invalid"},
		"the password grant (RFC 9700 2.4)":        {with(func(c *bitjang.Client) { c.GrantTypes = []string{"password"} }), "client_invalid"},
		"the implicit grant (RFC 9700 2.1.2)":      {with(func(c *bitjang.Client) { c.GrantTypes = []string{"implicit"} }), "client_invalid"},
		"client_credentials of a public client":    {bitjang.Client{Name: "x", Auth: bitjang.ClientPublic, GrantTypes: []string{"client_credentials"}}, "client_invalid"},
		"codes without a redirect URI":             {bitjang.Client{Name: "x", GrantTypes: []string{"authorization_code"}}, "client_invalid"},
		"a scope with a space":                     {with(func(c *bitjang.Client) { c.Scopes = []string{"a b"} }), "client_invalid"},
		"a resource with a fragment":               {with(func(c *bitjang.Client) { c.Resources = []string{"https://api.example.com#x"} }), "client_invalid"},
		"a resource that could be a client":        {with(func(c *bitjang.Client) { c.Resources = []string{"notes"} }), "client_invalid"},
		"access tokens that the feed would forget": {with(func(c *bitjang.Client) { c.AccessTTL = time.Hour }), "client_invalid"},
	} {
		_, _, err := r.AddClient(t.Context(), tt.c)
		if got := reason(err); got != tt.want {
			t.Errorf("%s: got %q, want %q (%v)", name, got, tt.want, err)
		}
	}
}

// reason is the stable word of an error, "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return bitjang.AsError(err).Reason
}

func TestAClientAuthenticatesInItsOwnWayOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	web, secret := r.addClient(t, bitjang.Client{ID: "web"})
	public, none := r.addClient(t, bitjang.Client{ID: "public", Auth: bitjang.ClientPublic})
	if secret.IsZero() || !none.IsZero() || !strings.HasPrefix(secret.Reveal(), "bjs_") {
		t.Fatal("a client with a secret gets one, a public one does not")
	}
	if len(web.Secrets) != 1 || bytes.Contains(web.Secrets[0].Hash, []byte(secret.Reveal())) {
		t.Fatalf("got %v kept", web.Secrets)
	}
	for name, tt := range map[string]struct {
		in   bitjang.ClientCredentials
		want error
	}{
		"with its secret":                 {bitjang.ClientCredentials{ID: "web", Secret: secret}, nil},
		"without one":                     {bitjang.ClientCredentials{ID: "web"}, bitjang.ErrInvalidClient},
		"with an empty one":               {bitjang.ClientCredentials{ID: "web", Secret: bitjang.NewSecret("")}, bitjang.ErrInvalidClient},
		"with a wrong one":                {bitjang.ClientCredentials{ID: "web", Secret: bitjang.NewSecret("bjs_wrong")}, bitjang.ErrInvalidClient},
		"with the hash":                   {bitjang.ClientCredentials{ID: "web", Secret: bitjang.NewSecret(string(web.Secrets[0].Hash))}, bitjang.ErrInvalidClient},
		"under another id":                {bitjang.ClientCredentials{ID: "public", Secret: secret}, bitjang.ErrInvalidClient},
		"as nobody":                       {bitjang.ClientCredentials{Secret: secret}, bitjang.ErrInvalidClient},
		"as somebody unknown":             {bitjang.ClientCredentials{ID: "unknown", Secret: secret}, bitjang.ErrInvalidClient},
		"as our own sessions' client":     {bitjang.ClientCredentials{ID: "bitjang"}, bitjang.ErrInvalidClient},
		"public, by its name":             {bitjang.ClientCredentials{ID: public.ID}, nil},
		"with something for an assertion": {bitjang.ClientCredentials{ID: "web", Secret: secret, Assertion: bitjang.NewSecret("x")}, bitjang.ErrInvalidClient},
	} {
		c, err := r.AuthenticateClient(t.Context(), tt.in)
		if !errors.Is(err, tt.want) || err == nil && c.ID != tt.in.ID {
			t.Errorf("%s: got %v (%v), want %v", name, c.ID, err, tt.want)
		}
	}
	r.store.watch(func(string) error { return errDown }, nil)
	r.clock.turn(time.Minute)
	if _, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "web", Secret: secret}); bitjang.AsError(err).Code != bitjang.Unavailable {
		t.Errorf("while the store is down: got %v", err)
	}
}

func TestTwoSecretsWorkWhileOneIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, first := r.addClient(t, bitjang.Client{ID: "web"})
	rotate := func(discard bool) bitjang.Secret {
		_, secret, err := r.RotateClientSecret(t.Context(), "web", discard)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	works := func(what string, secret bitjang.Secret, want bool) {
		t.Helper()
		if _, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "web", Secret: secret}); (err == nil) != want {
			t.Errorf("%s: got %v, want it to work: %v", what, err, want)
		}
	}
	second := rotate(false)
	works("the first beside the second", first, true)
	works("the second", second, true)
	third := rotate(false)
	works("the first beside two others", first, false)
	works("the second beside the third", second, true)
	fourth := rotate(true)
	works("the third after it was discarded", third, false)
	works("the fourth", fourth, true)

	// Another node has it in memory, for five seconds and no longer.
	other := r.node(t, r.cfg)
	ask := func() error {
		_, err := other.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "web", Secret: fourth})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	rotate(true)
	r.clock.turn(4 * time.Second)
	if err := ask(); err != nil {
		t.Errorf("within five seconds: got %v", err)
	}
	r.clock.turn(time.Second)
	if err := ask(); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("after five seconds: got %v", err)
	}
}

func TestARemovedClientIsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, secret := r.addClient(t, bitjang.Client{ID: "web"})
	if err := r.RemoveClient(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "web", Secret: secret}); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("got %v", err)
	}
	if err := r.RemoveClient(t.Context(), "web"); !errors.Is(err, bitjang.ErrNoSuchClient) {
		t.Errorf("again: got %v", err)
	}
}

// keyed is a client's own key pair and its key set.
func keyed(t *testing.T, alg, kid string) (crypto.Signer, []byte) {
	t.Helper()
	key, err := jws.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jws.MarshalSet([]jws.Key{{ID: kid, Algorithm: alg, Public: key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return key, set
}

func assertion(t *testing.T, key crypto.Signer, alg string, claims map[string]any) bitjang.Secret {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(jws.Header{Alg: alg, Kid: "k1"}, payload, key)
	if err != nil {
		t.Fatal(err)
	}
	return bitjang.NewSecret(token)
}

func TestRFC7523bisAClientSignsForThisServerAloneAndOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, set := keyed(t, "ES256", "k1")
	stranger, _ := keyed(t, "ES256", "k1")
	r.addClient(t, bitjang.Client{ID: "robot", Auth: bitjang.ClientByKey, Keys: set})
	r.addClient(t, bitjang.Client{ID: "web"})
	now := r.clock.now().Unix()
	claims := func(pairs ...any) map[string]any {
		m := map[string]any{"iss": "robot", "sub": "robot", "aud": r.cfg.Issuer, "jti": rand.Text(), "exp": now + 60, "iat": now}
		for p := range slices.Chunk(pairs, 2) {
			if m[p[0].(string)] = p[1]; p[1] == nil {
				delete(m, p[0].(string))
			}
		}
		return m
	}
	try := func(token bitjang.Secret) error {
		_, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{Assertion: token})
		return err
	}
	once := assertion(t, key, "ES256", claims())
	if err := try(once); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	if err := try(once); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("the same again: got %v", err)
	}
	if err := try(assertion(t, key, "ES256", claims("aud", []string{r.cfg.Issuer}))); err != nil {
		t.Errorf("with the issuer in a list of one: got %v", err)
	}
	for name, c := range map[string]map[string]any{
		"for another server":         claims("aud", "https://other.example.com"),
		"for another server as well": claims("aud", []string{r.cfg.Issuer, "https://other.example.com"}),
		"for the token endpoint":     claims("aud", r.cfg.Issuer+"/oauth2/token"),
		"for nobody":                 claims("aud", nil),
		"by another issuer":          claims("iss", "web"),
		"about another client":       claims("sub", "web"),
		"without a name":             claims("jti", nil),
		"expired":                    claims("exp", now-10),
		"without an end":             claims("exp", nil),
		"for very long":              claims("exp", now+3600),
		"not yet good":               claims("nbf", now+60),
		"made in the future":         claims("iat", now+60),
	} {
		if err := try(assertion(t, key, "ES256", c)); !errors.Is(err, bitjang.ErrInvalidClient) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := try(assertion(t, stranger, "ES256", claims())); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("signed by a stranger: got %v", err)
	}
	if _, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "web", Assertion: assertion(t, key, "ES256", claims())}); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("beside another id: got %v", err)
	}
	if _, err := r.AuthenticateClient(t.Context(), bitjang.ClientCredentials{ID: "robot"}); !errors.Is(err, bitjang.ErrInvalidClient) {
		t.Errorf("without an assertion: got %v", err)
	}
}
