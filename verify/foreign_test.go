package verify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/bitjang/bitjang/internal/jws"
)

// serveIssuer starts a real HTTP issuer with discovery and keys.
func serveIssuer(t *testing.T, ids ...string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	var keys []jws.Key
	for _, id := range ids {
		keys = append(keys, jws.Key{ID: id, Algorithm: algorithm(id), Public: signers()[id].Public()})
	}
	set, err := jws.MarshalSet(keys)
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(set)
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": srv.URL, "jwks_uri": srv.URL + "/.well-known/jwks.json",
			"authorization_endpoint": srv.URL + "/authorize", "token_endpoint": srv.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "EdDSA"},
		})
	})
	return srv
}

func TestGoOIDCAcceptsOurTokens(t *testing.T) {
	t.Parallel()
	srv := serveIssuer(t, "es", "rs", "ed")
	provider, err := oidc.NewProvider(t.Context(), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: testAudience, Now: func() time.Time { return testNow }})
	for _, id := range []string{"es", "rs", "ed"} {
		token := mint(t, id, claimsJSON(t, map[string]any{"iss": srv.URL}))
		got, err := verifier.Verify(t.Context(), token)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if got.Subject != "user-1" || got.Issuer != srv.URL || !got.Expiry.Equal(testNow.Add(9*time.Minute)) {
			t.Errorf("%s: got %+v", id, got)
		}
	}
}

// TestWeAcceptTokensOfGoJose goes over real HTTP, with a token and keys that are
// somebody else's work.
func TestWeAcceptTokensOfGoJose(t *testing.T) {
	t.Parallel()
	var issuer string
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: signers()["rs"].Public(), KeyID: "rs", Algorithm: "RS256", Use: "sig"},
		{Key: signers()["es"].Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/jwks.json" {
			http.Redirect(w, r, "/keys", http.StatusFound)
			return
		}
		_, _ = w.Write(set)
	}))
	t.Cleanup(srv.Close)
	issuer = srv.URL
	v := newVerifier(t, func(c *Config) { c.Issuer, c.Keys, c.Now = issuer, nil, func() time.Time { return testNow } })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signers()["es"]},
		(&jose.SignerOptions{}).WithType("application/at+jwt").WithHeader("kid", "es"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.Sign([]byte(claimsJSON(t, map[string]any{"iss": issuer})))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), token)
	if err != nil || got.Subject != "user-1" {
		t.Errorf("got %v, %v, want user-1", got, err)
	}
}
