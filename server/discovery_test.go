package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestTheClientsAddressIsTheOneNobodyCanForge(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, func(s *setup) { s.TrustedProxies = prefixes("10.0.0.0/8") })
	for want, mods := range map[string][]mod{
		"192.0.2.9":    {peer("192.0.2.9:1"), header("X-Forwarded-For", "203.0.113.1"), header("Forwarded", "for=203.0.113.2")},
		"203.0.113.3":  {peer("10.0.0.1:1"), header("X-Forwarded-For", "1.1.1.1, 203.0.113.3, 10.0.0.2")},
		"2001:db8::17": {peer("10.0.0.1:1"), header("Forwarded", `for=1.1.1.1, for="[2001:db8::17]:4711";proto=https`)},
	} {
		tk := r.login(mods...)
		var out struct {
			Sessions []struct {
				Current bool
				IP      string
			}
		}
		r.do("GET", "/v1/sessions", nil, bearer(tk.access)).want(200).decode(&out)
		i := slices.IndexFunc(out.Sessions, func(s struct {
			Current bool
			IP      string
		}) bool {
			return s.Current
		})
		if out.Sessions[i].IP != want {
			t.Errorf("got address %s, want %s", out.Sessions[i].IP, want)
		}
	}
}

func TestClientHintsNameTheDevice(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	chrome := "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
	tk := r.login(agent(chrome), header("Sec-CH-UA", `"Not=A?Brand";v="24", "Chromium";v="140", "Microsoft Edge";v="140"`), header("Sec-CH-UA-Platform", `"Android"`), header("Sec-CH-UA-Mobile", "?1"))
	var out struct {
		Sessions []struct{ Device map[string]string }
	}
	r.do("GET", "/v1/sessions", nil, bearer(tk.access)).want(200).decode(&out)
	if diff := cmp.Diff(map[string]string{"browser": "Microsoft Edge", "os": "Android", "type": "mobile"}, out.Sessions[0].Device); diff != "" {
		t.Errorf("device:\n%s", diff)
	}
}

func TestTheDiscoveryDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.do("GET", "/.well-known/openid-configuration", nil).want(200).wantHeader("Cache-Control", "public, max-age=300")
	b := r.do("GET", "/.well-known/oauth-authorization-server", nil).want(200)
	if string(a.Body) != string(b.Body) {
		t.Errorf("got two documents:\n%s%s", a.Body, b.Body)
	}
	var m struct {
		Issuer     string
		JWKS       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Docs       string   `json:"service_documentation"`
	}
	a.decode(&m)
	if m.Issuer != "https://id.example.com" || m.JWKS != "https://id.example.com/.well-known/jwks.json" || !slices.Equal(m.Algorithms, []string{"ES256", "RS256"}) || m.Docs != "https://id.example.com/openapi.json" {
		t.Errorf("got %+v", m)
	}
	doc := r.do("GET", "/openapi.json", nil).want(200).wantHeader("Content-Type", "application/json")
	if doc.text("openapi") != "3.1.0" || len(doc.cookies()) != 0 {
		t.Errorf("got openapi %q", doc.text("openapi"))
	}
}

func TestTheKeySetHasEveryPublishedKeyAndNothingPrivate(t *testing.T) {
	t.Parallel()
	r := newUserRig(t)
	for _, algorithm := range []string{"EdDSA", "RS256"} {
		other, err := bitjang.New(bitjang.Config{Issuer: "https://id.example.com", MasterKeys: r.keys, Store: r.store, Algorithm: algorithm, Now: r.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := r.login()
	r.clock.advance(time.Millisecond)
	if _, err := r.svc.RotateKey(t.Context(), bitjang.RotateKeyInput{}); err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	a := r.do("GET", "/.well-known/jwks.json", nil).want(200).wantHeader("Content-Type", "application/jwk-set+json").wantHeader("Cache-Control", "public, max-age=300")
	a.decode(&set)
	var got []string
	members := map[string][]string{"EC": {"alg", "crv", "kid", "kty", "use", "x", "y"}, "OKP": {"alg", "crv", "kid", "kty", "use", "x"}, "RSA": {"alg", "e", "kid", "kty", "n", "use"}}
	for _, k := range set.Keys {
		got = append(got, k["alg"])
		var names []string
		for name := range k {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff(members[k["kty"]], names); diff != "" {
			t.Errorf("members of %s:\n%s", k["kty"], diff)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"ES256", "ES256", "EdDSA", "RS256"}, got); diff != "" {
		t.Errorf("keys:\n%s", diff)
	}
	r.clock.advance(10 * time.Second)
	after := r.login()
	if kid(t, before.access) == kid(t, after.access) {
		t.Error("the new key does not sign")
	}
	for _, tk := range []tokens{before, after} {
		r.do("GET", "/v1/me", nil, bearer(tk.access)).want(200)
	}
	if _, err := r.svc.RotateKey(t.Context(), bitjang.RotateKeyInput{Discard: true}); err != nil {
		t.Fatal(err)
	}
	wantRefusedEverywhere(t, r, before.access, "access_token_invalid")
	r.refresh(before.refresh).want(200) // nobody is logged out by it
}

func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func TestAnUnmodifiedOIDCClientVerifiesAccessTokens(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	url := "http://" + srv.Listener.Addr().String()
	r := newUserRig(t, func(s *setup) { s.Issuer, s.Audience = url, "https://api.example.com" })
	srv.Config.Handler = http.HandlerFunc(r.h.ServeHTTP)
	srv.Start()
	defer srv.Close()

	provider, err := oidc.NewProvider(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: "https://api.example.com"})
	check := func(tk tokens) {
		t.Helper()
		token, err := verifier.Verify(t.Context(), tk.access)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Sid string `json:"sid"`
		}
		if err := token.Claims(&claims); err != nil || claims.Sid != tk.session || token.Issuer != url {
			t.Errorf("got %+v %+v %v", token, claims, err)
		}
	}
	old := r.login()
	check(old)
	r.clock.advance(time.Millisecond)
	if _, err := r.svc.RotateKey(t.Context(), bitjang.RotateKeyInput{Now: true}); err != nil {
		t.Fatal(err)
	}
	fresh := r.login()
	if kid(t, old.access) == kid(t, fresh.access) {
		t.Fatal("the key was not rotated")
	}
	check(fresh) // the client fetches the keys again on its own
	check(old)
	if _, err := verifier.Verify(t.Context(), flip(fresh.access, len(fresh.access)-10)); err == nil {
		t.Error("a forged token passes")
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "https://other.example.com"}).Verify(t.Context(), fresh.access); err == nil {
		t.Error("a token for somebody else passes")
	}
}
