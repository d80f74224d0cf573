package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang/internal/jws"
)

const (
	testIssuer   = "https://auth.example.com"
	testAudience = "https://api.example.com"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// signers holds keys that are made once: RSA takes long.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	m := map[string]crypto.Signer{}
	for id, alg := range map[string]string{"es": "ES256", "es2": "ES256", "attacker": "ES256", "ed": "EdDSA", "rs": "RS256"} {
		key, err := jws.Generate(alg)
		if err != nil {
			panic(err)
		}
		m[id] = key
	}
	return m
})

func algorithm(id string) string {
	alg, err := jws.Algorithm(signers()[id].Public())
	if err != nil {
		panic(err)
	}
	return alg
}

// fixedKeys is a KeySource that counts who asks.
type fixedKeys struct {
	mu    sync.Mutex
	keys  map[string]*Key
	err   error
	asked int
}

func keysFor(ids ...string) *fixedKeys {
	f := &fixedKeys{keys: map[string]*Key{}}
	for _, id := range ids {
		f.keys[id] = &Key{ID: id, Algorithm: algorithm(id), Public: signers()[id].Public()}
	}
	return f
}

func (f *fixedKeys) Key(_ context.Context, kid string) (*Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil {
		return nil, f.err
	}
	if k, ok := f.keys[kid]; ok {
		return k, nil
	}
	return nil, ErrUnknownKey
}

func (f *fixedKeys) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// newVerifier has the issuer's key "es" and stands still at testNow, unless edit
// says otherwise.
func newVerifier(t testing.TB, edit func(*Config)) *Verifier {
	t.Helper()
	cfg := Config{Issuer: testIssuer, Audience: testAudience, Keys: keysFor("es"), Now: func() time.Time { return testNow }}
	if edit != nil {
		edit(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// goodClaims are those of a token that was issued a minute before testNow.
func goodClaims() *Claims {
	return &Claims{
		Issuer: testIssuer, Subject: "user-1", Audience: Audience{testAudience},
		ExpiresAt: testNow.Add(9 * time.Minute).Unix(), IssuedAt: testNow.Add(-time.Minute).Unix(), ID: "jti-1",
		SessionID: "session-1", ClientID: "web", Scope: "orders:read orders:write", Roles: []string{"admin"},
		AuthTime: testNow.Add(-time.Hour).Unix(), AMR: []string{"pwd", "otp"}, ACR: "aal2", Generation: 7,
	}
}

// claimsJSON is goodClaims with members changed, or taken out if nil.
func claimsJSON(t testing.TB, changes map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	if raw, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// mint signs claims with the key of that id, as the issuer does.
func mint(t testing.TB, id, claims string) string {
	t.Helper()
	token, err := jws.Sign(jws.Header{Alg: algorithm(id), Typ: "at+jwt", Kid: id}, []byte(claims), signers()[id])
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge signs any header with an ES256 key.
func forge(t testing.TB, id, header, claims string) string {
	t.Helper()
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, signers()[id].(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + b64(sig)
}

func TestAGoodTokenGivesItsClaims(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, nil)
	token := mint(t, "es", claimsJSON(t, nil))
	for _, round := range []string{"first time", "from the cache"} {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		if diff := cmp.Diff(goodClaims(), got); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", round, diff)
		}
	}
}

func TestEveryClaimIsChecked(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	dropped := func(name string) map[string]any { return map[string]any{name: nil} }
	emptied := func(name string) map[string]any { return map[string]any{name: ""} }
	tests := []struct {
		name    string
		changes map[string]any
		want    error
	}{
		{"nothing changed", nil, nil},
		{"several audiences, ours among them", map[string]any{"aud": []string{"x", testAudience}}, nil},
		{"no optional claim", map[string]any{"sid": nil, "scope": nil, "roles": nil, "auth_time": nil, "amr": nil, "acr": nil, "gen": nil}, nil},
		{"an unknown claim", map[string]any{"foo": map[string]any{"iss": "x"}}, nil},
		{"known claims in capitals are unknown claims", map[string]any{"ISS": "x", "Exp": 1, "AUD": "x"}, nil},

		{"no iss", dropped("iss"), ErrMissingClaim}, {"empty iss", emptied("iss"), ErrMissingClaim},
		{"no sub", dropped("sub"), ErrMissingClaim}, {"empty sub", emptied("sub"), ErrMissingClaim},
		{"no client_id", dropped("client_id"), ErrMissingClaim}, {"empty client_id", emptied("client_id"), ErrMissingClaim},
		{"no jti", dropped("jti"), ErrMissingClaim}, {"empty jti", emptied("jti"), ErrMissingClaim},
		{"no aud", dropped("aud"), ErrMissingClaim}, {"aud of nobody", map[string]any{"aud": []string{}}, ErrMissingClaim},
		{"no exp", dropped("exp"), ErrMissingClaim}, {"exp 0", map[string]any{"exp": 0}, ErrMissingClaim},
		{"no iat", dropped("iat"), ErrMissingClaim}, {"iat 0", map[string]any{"iat": 0}, ErrMissingClaim},
		{"exp in capitals only", map[string]any{"exp": nil, "EXP": at(time.Hour)}, ErrMissingClaim},

		{"another issuer", map[string]any{"iss": "https://evil.example"}, ErrWrongIssuer},
		{"the issuer with a slash", map[string]any{"iss": testIssuer + "/"}, ErrWrongIssuer},
		{"the issuer in capitals", map[string]any{"iss": strings.ToUpper(testIssuer)}, ErrWrongIssuer},
		{"another audience", map[string]any{"aud": "https://other.example.com"}, ErrWrongAudience},
		{"an audience that begins with ours", map[string]any{"aud": testAudience + ".evil.example"}, ErrWrongAudience},
		{"an empty audience", map[string]any{"aud": ""}, ErrWrongAudience},

		{"expired within the leeway", map[string]any{"exp": at(-29 * time.Second)}, nil},
		{"expired at the end of the leeway", map[string]any{"exp": at(-30 * time.Second)}, ErrExpired},
		{"expired before there was time", map[string]any{"exp": int64(-1 << 63)}, ErrExpired},
		{"exp at the end of time", map[string]any{"exp": int64(1<<63 - 1)}, nil},
		{"issued within the leeway", map[string]any{"iat": at(30 * time.Second)}, nil},
		{"issued in the future", map[string]any{"iat": at(31 * time.Second)}, ErrNotYetValid},
		{"valid within the leeway", map[string]any{"nbf": at(30 * time.Second)}, nil},
		{"not valid yet", map[string]any{"nbf": at(31 * time.Second)}, ErrNotYetValid},
		{"nbf at the end of time", map[string]any{"nbf": int64(1<<63 - 1)}, ErrNotYetValid},

		{"exp as text", map[string]any{"exp": "1893456000"}, ErrMalformed},
		{"exp with a fraction", map[string]any{"exp": 1893456000.5}, ErrMalformed},
		{"exp beyond 64 bits", map[string]any{"exp": json.RawMessage("1e300")}, ErrMalformed},
		{"exp null", map[string]any{"exp": json.RawMessage("null")}, ErrMalformed},
		{"nbf null", map[string]any{"nbf": json.RawMessage("null")}, ErrMalformed},
		{"iss as a list", map[string]any{"iss": []string{testIssuer}}, ErrMalformed},
		{"sub as a number", map[string]any{"sub": 1}, ErrMalformed},
		{"aud as a number", map[string]any{"aud": 1}, ErrMalformed},
		{"aud as a list of numbers", map[string]any{"aud": []int{1}}, ErrMalformed},
		{"roles as text", map[string]any{"roles": "admin"}, ErrMalformed},
		{"gen below zero", map[string]any{"gen": -1}, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newVerifier(t, nil).Verify(t.Context(), mint(t, "es", claimsJSON(t, tt.changes)))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNegativeLeewayIsNone(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, func(c *Config) { c.Leeway = -1 })
	for _, tt := range []struct {
		claim string
		at    int64
		want  error
	}{
		{"exp", testNow.Unix(), ErrExpired}, {"exp", testNow.Unix() + 1, nil},
		{"iat", testNow.Unix() + 1, ErrNotYetValid}, {"iat", testNow.Unix(), nil},
	} {
		if _, err := v.Verify(t.Context(), mint(t, "es", claimsJSON(t, map[string]any{tt.claim: tt.at}))); !errors.Is(err, tt.want) {
			t.Errorf("%s %d: got %v, want %v", tt.claim, tt.at-testNow.Unix(), err, tt.want)
		}
	}
}

func TestTypesAreComparedAsMediaTypes(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, func(c *Config) { c.Types = []string{"Application/AT+JWT", "JWT", "x/y"} })
	for typ, want := range map[string]error{
		"at+jwt": nil, "application/at+jwt": nil, "AT+JWT": nil, "JWT": nil, "jwt": nil,
		"": ErrWrongType, "at": ErrWrongType, "x/y": nil, "application/x/y": ErrWrongType, "text/at+jwt": ErrWrongType, "application/": ErrWrongType,
	} {
		token := forge(t, "es", `{"alg":"ES256","kid":"es","typ":"`+typ+`"}`, claimsJSON(t, nil))
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("typ %q: got %v, want %v", typ, err, want)
		}
	}
}

func TestAlgorithmsArePinnedTwice(t *testing.T) {
	t.Parallel()
	all := keysFor("es", "ed", "rs")
	mislabelled := keysFor("es")
	mislabelled.keys["es"].Algorithm = "RS256"
	wrongKey := keysFor("es")
	wrongKey.keys["es"].Public = signers()["ed"].Public()
	tests := []struct {
		name    string
		allowed []string
		keys    *fixedKeys
		id      string
		want    error
	}{
		{"ES256 is the default", nil, all, "es", nil},
		{"EdDSA has to be allowed", nil, all, "ed", ErrAlgorithm},
		{"RS256 has to be allowed", nil, all, "rs", ErrAlgorithm},
		{"ES256 can be left out", []string{"RS256"}, all, "es", ErrAlgorithm},
		{"EdDSA, allowed", []string{"ES256", "EdDSA"}, all, "ed", nil},
		{"RS256, allowed", []string{"RS256"}, all, "rs", nil},
		{"an allowed one that the key is not for", []string{"ES256", "RS256"}, mislabelled, "es", ErrAlgorithm},
		{"a key that is not what its label says", nil, wrongKey, "es", ErrBadSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, func(c *Config) { c.Keys, c.Algorithms = tt.keys, tt.allowed })
			if _, err := v.Verify(t.Context(), mint(t, tt.id, claimsJSON(t, nil))); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestErrorsOfTheKeySourceAreSorted(t *testing.T) {
	t.Parallel()
	outage := errors.New("no network")
	token := mint(t, "es", claimsJSON(t, nil))
	keys := keysFor()
	v := newVerifier(t, func(c *Config) { c.Keys = keys })
	for _, tt := range []struct{ source, want error }{
		{nil, ErrUnknownKey}, {ErrUnknownKey, ErrUnknownKey}, {outage, ErrKeysUnavailable}, {outage, outage}, {ErrKeysUnavailable, ErrKeysUnavailable},
	} {
		keys.change(func() { keys.err = tt.source })
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, tt.want) {
			t.Errorf("source says %v: got %v, want %v", tt.source, err, tt.want)
		}
	}
	keys.change(func() { keys.err, keys.keys["es"] = nil, nil })
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("source says nothing: got %v, want %v", err, ErrUnknownKey)
	}
}

func TestNewReportsAllProblems(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		JWKSURL: "ftp://x", Algorithms: []string{"HS256", "none"}, Types: []string{""},
		Leeway: time.Hour, Cookie: "a b",
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"Issuer", "Audience", "JWKSURL", `"HS256"`, `"none"`, "Types", "Leeway", "Cookie"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
	if _, err := New(Config{Issuer: "not a URL", Audience: "a", Keys: keysFor()}); err != nil {
		t.Errorf("with keys of one's own the issuer is only compared: got %v", err)
	}
	if _, err := New(Config{Issuer: "not a URL", Audience: "a"}); err == nil {
		t.Error("an issuer that cannot be fetched from: got no error")
	}
}

func TestNewKeepsItsOwnConfig(t *testing.T) {
	t.Parallel()
	algorithms, types := []string{"ES256"}, []string{"at+jwt"}
	client := &http.Client{}
	v := newVerifier(t, func(c *Config) { c.Algorithms, c.Types, c.HTTPClient, c.Keys = algorithms, types, client, nil })
	algorithms[0], types[0] = "RS256", "JWT"
	if v.cfg.Algorithms[0] != "ES256" || v.cfg.Types[0] != "at+jwt" {
		t.Errorf("got %v and %v changed from outside", v.cfg.Algorithms, v.cfg.Types)
	}
	if client.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}
