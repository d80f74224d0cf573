package verify

import (
	"crypto"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/internal/jws"
)

func thumbprint(t testing.TB, key crypto.Signer) string {
	t.Helper()
	jkt, err := jws.Thumbprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return jkt
}

// boundToken is bound to the key with that id.
func boundToken(t testing.TB, id string) string {
	t.Helper()
	return mint(t, "es", claimsJSON(t, map[string]any{"cnf": map[string]any{"jkt": thumbprint(t, signers()[id])}}))
}

var proofs int

// proofFor is a proof by the key with that id, for a GET of the orders with the
// token unless changed.
func proofFor(t testing.TB, id, token string, changes map[string]any) string {
	t.Helper()
	proofs++
	claims := map[string]any{
		"jti": proofs, "htm": "GET", "htu": "https://api.example.com/orders", "iat": testNow.Unix(), "ath": dpop.AccessHash(token),
	}
	claims["jti"] = strings.Repeat("j", 1+proofs%7) + time.Duration(proofs).String()
	maps.Copy(claims, changes)
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jws.MarshalPublic(signers()[id].Public())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := jws.Sign(jws.Header{Alg: algorithm(id), Typ: "dpop+jwt", JWK: string(jwk)}, raw, signers()[id])
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func TestABoundTokenNeedsAProof(t *testing.T) {
	v := newVerifier(t, nil)
	token := boundToken(t, "ed")
	get := func(jwt string) Proof {
		return Proof{JWT: jwt, Method: "GET", URL: "https://api.example.com/orders?x"}
	}
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrProofRequired) {
		t.Errorf("without a proof: got %v", err)
	}
	once := proofFor(t, "ed", token, nil)
	for _, tt := range []struct {
		name  string
		token string
		proof Proof
		want  error
	}{
		{"a good proof", token, get(once), nil},
		{"the same once more", token, get(once), ErrProof},
		{"another one", token, get(proofFor(t, "ed", token, nil)), nil},
		{"no proof", token, get(""), ErrProofRequired},
		{"a proof of another key", token, get(proofFor(t, "es2", token, nil)), ErrProof},
		{"a proof for another token", token, get(proofFor(t, "ed", token+"x", nil)), ErrProof},
		{"a proof for no token", token, get(proofFor(t, "ed", token, map[string]any{"ath": nil})), ErrProof},
		{"a proof for another method", token, Proof{proofFor(t, "ed", token, nil), "POST", "https://api.example.com/orders"}, ErrProof},
		{"a proof for another server", token, Proof{proofFor(t, "ed", token, nil), "GET", "https://evil.example/orders"}, ErrProof},
		{"an old proof", token, get(proofFor(t, "ed", token, map[string]any{"iat": testNow.Add(-2 * time.Minute).Unix()})), ErrProof},
		{"a proof from the future", token, get(proofFor(t, "ed", token, map[string]any{"iat": testNow.Add(2 * time.Minute).Unix()})), ErrProof},
		{"an access token as a proof", token, get(token), ErrProof},
		{"nonsense", token, get("x"), ErrProof},
		{"a token that is not bound", mint(t, "es", claimsJSON(t, nil)), get(proofFor(t, "ed", mint(t, "es", claimsJSON(t, nil)), nil)), ErrNotBound},
		{"a token that is not good", token + "x", get(proofFor(t, "ed", token+"x", nil)), ErrMalformed},
	} {
		claims, err := v.VerifyProof(t.Context(), tt.token, tt.proof)
		if !errors.Is(err, tt.want) || (claims != nil) != (tt.want == nil) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, claims, err, tt.want)
		}
	}
	loose := newVerifier(t, func(c *Config) { c.InsecureNoProof = true })
	if c, err := loose.Verify(t.Context(), token); err != nil || c.Confirmation.KeyThumbprint != thumbprint(t, signers()["ed"]) {
		t.Errorf("InsecureNoProof: got %v, %v", c, err)
	}
}

// TestConfirmationsThatWeCannotCheck: passing over one would make a bearer token
// of a token that is none.
func TestConfirmationsThatWeCannotCheck(t *testing.T) {
	t.Parallel()
	for _, cnf := range []any{
		map[string]any{}, map[string]any{"x5t#S256": "x"}, map[string]any{"jkt": ""}, map[string]any{"jkt": 1},
		map[string]any{"jkt": "x", "x5t#S256": "x"}, "x", []any{}, true,
	} {
		token := mint(t, "es", claimsJSON(t, map[string]any{"cnf": cnf}))
		for _, insecure := range []bool{false, true} {
			v := newVerifier(t, func(c *Config) { c.InsecureNoProof = insecure })
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v: got %v", cnf, err)
			}
		}
	}
	null := strings.Replace(claimsJSON(t, nil), "{", `{"cnf":null,`, 1)
	if _, err := newVerifier(t, nil).Verify(t.Context(), mint(t, "es", null)); !errors.Is(err, ErrMalformed) {
		t.Errorf("null: got %v", err)
	}
}

func TestMiddlewareWantsProofs(t *testing.T) {
	v := newVerifier(t, func(c *Config) { c.Cookie = "at" })
	h := http.StripPrefix("/x", v.Middleware(whoAmI))
	token, plain := boundToken(t, "ed"), mint(t, "es", claimsJSON(t, nil))
	const dpopRealm = `DPoP realm="` + testAudience + `"`
	const algs = `, algs="ES256 EdDSA RS256"`
	unproved := answer{401, dpopRealm + `, error="invalid_token", error_description="` + errUnproved.detail + `"` + algs, "invalid_token", errUnproved.detail}
	bad := answer{401, dpopRealm + `, error="invalid_dpop_proof", error_description="` + errProof.detail + `"` + algs, "invalid_dpop_proof", errProof.detail}
	notBound := answer{401, dpopRealm + `, error="invalid_token", error_description="` + errNotBound.detail + `"` + algs, "invalid_token", errNotBound.detail}
	proof := func(changes map[string]any) string { return proofFor(t, "ed", token, changes) }
	here := map[string]any{"htu": "https://api.example.com/x/orders"}
	for _, tt := range []struct {
		name    string
		headers []string
		want    answer
	}{
		{"the DPoP scheme with a proof", []string{"Authorization", "DPoP " + token, "DPoP", proof(here)}, answer{Status: 200}},
		{"the scheme in other letters", []string{"Authorization", "dpop " + token, "DPoP", proof(here)}, answer{Status: 200}},
		{"a proof for another path", []string{"Authorization", "DPoP " + token, "DPoP", proof(nil)}, bad},
		{"no proof", []string{"Authorization", "DPoP " + token}, unproved},
		{"two proofs", []string{"Authorization", "DPoP " + token, "DPoP", proof(here), "DPoP", proof(here)}, bad},
		{"as a bearer token (7.2)", []string{"Authorization", "Bearer " + token}, unproved},
		{"as a bearer token with a proof (7.2)", []string{"Authorization", "Bearer " + token, "DPoP", proof(here)}, unproved},
		{"a bearer token as a bound one", []string{"Authorization", "DPoP " + plain, "DPoP", proofFor(t, "ed", plain, here)}, notBound},
		{"in the cookie, without a proof", []string{"Cookie", "at=" + token}, unproved},
		{"in the cookie, with a proof", []string{"Cookie", "at=" + token, "DPoP", proof(here)}, answer{Status: 200}},
		{"a bearer token in the cookie, with a proof for somebody else", []string{"Cookie", "at=" + plain, "DPoP", proof(here)}, answer{Status: 200}},
	} {
		got, _ := ask(t, h, func(r *http.Request) {
			r.URL.Path, r.RequestURI = "/x/orders", "/x/orders?page=2"
			for i := 0; i < len(tt.headers); i += 2 {
				r.Header.Add(tt.headers[i], tt.headers[i+1])
			}
		})
		if got != tt.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestWhereARequestWasSentTo(t *testing.T) {
	t.Parallel()
	token := boundToken(t, "ed")
	v := newVerifier(t, func(c *Config) { c.Origin = "https://public.example" })
	for uri, htu := range map[string]string{"/orders?x=1": "https://public.example/orders", "http://proxy.example/orders": "https://public.example/orders", "/a%2Fb": "https://public.example/a%2fb"} {
		got, _ := ask(t, v.Middleware(whoAmI), func(r *http.Request) {
			r.Host, r.TLS, r.RequestURI = "internal:8080", nil, uri
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", proofFor(t, "ed", token, map[string]any{"htu": htu}))
		})
		if got.Status != 200 {
			t.Errorf("%s: got %+v", uri, got)
		}
	}
	for _, bad := range []string{"x", "https://", "https://a.example/", "https://a.example/x"} {
		if _, err := New(Config{Issuer: testIssuer, Audience: testAudience, Origin: bad}); err == nil {
			t.Errorf("Origin %q: got no error", bad)
		}
	}
}

func BenchmarkVerifyDPoP(b *testing.B) {
	v := newVerifier(b, nil)
	token := boundToken(b, "es2")
	list := make([]string, 4096)
	for i := range list {
		list[i] = proofFor(b, "es2", token, nil)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%len(list) == 0 {
			v.proofs = dpop.NewReplayed(maxProofs)
		}
		if _, err := v.VerifyProof(b.Context(), token, Proof{list[i%len(list)], "GET", "https://api.example.com/orders"}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
