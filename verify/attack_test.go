package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/bitjang/bitjang/internal/jws"
)

// TestAttacks has the tricks of the usual token attack tools. The claims are
// good throughout, so that nothing but the check in question refuses.
func TestAttacks(t *testing.T) {
	t.Parallel()
	good := claimsJSON(t, nil)
	header := `{"alg":"ES256","typ":"at+jwt","kid":"es"}`
	token := forge(t, "es", header, good)
	if _, err := newVerifier(t, nil).Verify(t.Context(), token); err != nil {
		t.Fatalf("the good token is refused: %v", err)
	}
	unsigned := token[:strings.LastIndex(token, ".")+1]
	der, err := x509.MarshalPKIXPublicKey(signers()["es"].Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := b64([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"es"}`)) + "." + b64([]byte(good))
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte(hs))
	with := func(h string) string { return forge(t, "es", h, good) }
	attacker := func(member string) string {
		return forge(t, "attacker", `{"alg":"ES256","typ":"at+jwt","kid":"es",`+member+`}`, good)
	}
	type attack struct {
		name, token string
		want        error
	}
	attacks := []attack{
		{"no token", "", ErrNoToken},
		{"alg none", b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"es"}`)) + "." + b64([]byte(good)) + ".", ErrAlgorithm},
		{"alg nOnE", b64([]byte(`{"alg":"nOnE","typ":"at+jwt","kid":"es"}`)) + "." + b64([]byte(good)) + ".", ErrAlgorithm},
		{"the public key as an HMAC secret", hs + "." + b64(mac.Sum(nil)), ErrAlgorithm},
		{"the attacker's key under our kid", forge(t, "attacker", header, good), ErrBadSignature},
		{"a jwk of the attacker", attacker(`"jwk":{"kty":"EC","crv":"P-256"}`), ErrBadSignature},
		{"a jku of the attacker", attacker(`"jku":"https://evil.example/jwks.json"`), ErrBadSignature},
		{"an x5u of the attacker", attacker(`"x5u":"https://evil.example/cert.pem"`), ErrBadSignature},
		{"an x5c of the attacker", attacker(`"x5c":["AAAA"]`), ErrBadSignature},
		{"a kid that walks the disk", with(`{"alg":"ES256","typ":"at+jwt","kid":"../../../dev/null"}`), ErrUnknownKey},
		{"a kid for a database", with(`{"alg":"ES256","typ":"at+jwt","kid":"' OR 1=1 --"}`), ErrUnknownKey},
		{"no kid", with(`{"alg":"ES256","typ":"at+jwt"}`), ErrUnknownKey},
		{"a kid that is huge", with(`{"alg":"ES256","typ":"at+jwt","kid":"` + strings.Repeat("k", 3000) + `"}`), ErrMalformed},
		{"an empty signature", unsigned, ErrBadSignature},
		{"r and s of zero", unsigned + b64(make([]byte, 64)), ErrBadSignature},
		{"claims swapped under a signature", strings.Split(token, ".")[0] + "." + b64([]byte(claimsJSON(t, map[string]any{"sub": "admin"}))) + "." + strings.Split(token, ".")[2], ErrBadSignature},
		{"an ID token", with(`{"alg":"ES256","typ":"JWT","kid":"es"}`), ErrWrongType},
		{"a logout token", with(`{"alg":"ES256","typ":"logout+jwt","kid":"es"}`), ErrWrongType},
		{"no typ", with(`{"alg":"ES256","kid":"es"}`), ErrWrongType},
		{"a type below ours", with(`{"alg":"ES256","typ":"application/x/at+jwt","kid":"es"}`), ErrWrongType},
		{"crit", with(`{"alg":"ES256","typ":"at+jwt","kid":"es","crit":["exp"],"exp":1}`), ErrMalformed},
		{"a token in a token", forge(t, "es", `{"alg":"ES256","typ":"at+jwt","cty":"JWT","kid":"es"}`, token), ErrMalformed},
		{"a list of claims", forge(t, "es", header, "["+good+"]"), ErrMalformed},
		{"no claims", forge(t, "es", header, ""), ErrMalformed},
		{"claims twice", forge(t, "es", header, `{"sub":"admin",`+good[1:]), ErrMalformed},
		{"claims twice, once in disguise", forge(t, "es", header, `{"\u0073ub":"admin",`+good[1:]), ErrMalformed},
		{"an unknown claim twice", forge(t, "es", header, `{"foo":1,"foo":2,`+good[1:]), ErrMalformed},
		{"a huge token", strings.Repeat("A", 1<<20), ErrMalformed},
		{"a token just too long", token + strings.Repeat("A", jws.MaxToken+1-len(token)), ErrMalformed},
		{"padding", token + "==", ErrMalformed},
		{"a trailing newline", token + "\n", ErrMalformed},
		{"a leading space", " " + token, ErrMalformed},
		{"five parts", token + ".AAAA.AAAA", ErrMalformed},
		{"the JSON serialization", `{"payload":"` + b64([]byte(good)) + `","signatures":[]}`, ErrMalformed},
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			keys := keysFor("es")
			keys.keys[""] = keys.keys["es"] // a source that would answer for no kid
			v := newVerifier(t, func(c *Config) { c.Keys = keys })
			for range 2 { // a refusal is not remembered as anything else
				claims, err := v.Verify(t.Context(), a.token)
				if claims != nil || !errors.Is(err, a.want) {
					t.Fatalf("got %v, %v, want %v", claims, err, a.want)
				}
				for part := range strings.SplitSeq(a.token, ".") {
					if len(part) > 8 && strings.Contains(err.Error(), part) {
						t.Errorf("the error has a piece of the token: %v", err)
					}
				}
			}
		})
	}
}

func TestAHugeTokenCostsNothing(t *testing.T) {
	v := newVerifier(t, nil)
	huge := strings.Repeat("A", 1<<20)
	if got := testing.AllocsPerRun(10, func() { _, _ = v.Verify(t.Context(), huge) }); got > 0 {
		t.Errorf("got %v allocations, want the token refused before anything is done with it", got)
	}
}
