package verify

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/c2sp/wycheproof"

	"github.com/bitjang/bitjang/internal/jws"
)

// passes tells whether a Verifier whose keys are the set takes the token as far
// as its claims, which are none of ours.
func passes(t *testing.T, set []jws.Key, token string) (signed bool, err error) {
	t.Helper()
	keys := &fixedKeys{keys: map[string]*Key{}}
	for _, k := range set {
		keys.keys[k.ID] = &Key{ID: k.ID, Algorithm: k.Algorithm, Public: k.Public}
	}
	v := newVerifier(t, func(c *Config) {
		c.Keys, c.Algorithms = keys, []string{"ES256", "EdDSA", "RS256"}
		c.Types = []string{"at+jwt", "JWT", typOf(token)}
	})
	_, err = v.Verify(t.Context(), token)
	return err == nil || errors.Is(err, ErrMissingClaim), err
}

func typOf(token string) string {
	raw, err := base64.RawURLEncoding.DecodeString(strings.SplitN(token, ".", 2)[0])
	var h struct{ Typ string }
	if err != nil || json.Unmarshal(raw, &h) != nil || h.Typ == "" {
		return "none"
	}
	return h.Typ
}

// TestWycheproofThroughTheVerifier: no vector that is to be refused gets past its
// signature. Hardly any of the valid ones does either, because texts are no
// claims; internal/jws has them.
func TestWycheproofThroughTheVerifier(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		raw, err := fs.ReadFile(wycheproof.TestVectors, file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			TestGroups []struct {
				Public, Private json.RawMessage
				Tests           []struct {
					TcID    int
					Comment string
					JWS     json.RawMessage
					Result  string
				}
			}
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		refused, signed := 0, 0
		for _, g := range doc.TestGroups {
			set := g.Public
			if set == nil {
				set = g.Private
			}
			if !strings.Contains(string(set), `"keys"`) {
				set = json.RawMessage(`{"keys":[` + string(set) + `]}`)
			}
			keys, err := jws.ParseSet(set)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				var token string
				if json.Unmarshal(v.JWS, &token) != nil {
					continue
				}
				ok, err := passes(t, keys, token)
				if ok && v.Result != "valid" {
					t.Errorf("%s %d, %s: the signature of what is to be refused passes: %v", file, v.TcID, v.Comment, err)
				}
				if ok {
					signed++
				} else {
					refused++
				}
				if err == nil {
					t.Errorf("%s %d: a vector is an access token of ours", file, v.TcID)
				}
			}
		}
		t.Logf("%s: %d refused before their claims, %d for them", file, refused, signed)
		if refused < 5 {
			t.Errorf("%s: got %d vectors refused", file, refused)
		}
	}
}

// The RSA key and the signed text of RFC 7520 sections 3.3 and 4.1: the text is
// no object of claims, so for an access token it is as good as none, but only
// after its signature.
const (
	cookbookKey = `{"keys":[{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}]}`
	cookbookJWS = `eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg`
)

func TestTheCookbookOfRFC7520(t *testing.T) {
	t.Parallel()
	keys, err := jws.ParseSet([]byte(cookbookKey))
	if err != nil || len(keys) != 1 {
		t.Fatalf("section 3.3: got %v, %v", keys, err)
	}
	tok, err := jws.Parse(cookbookJWS)
	if err != nil || tok.Verify(keys[0].Algorithm, keys[0].Public) != nil {
		t.Fatalf("section 4.1: got %v, want a valid signature", err)
	}
	// As an access token it has no type, and with any type allowed no claims.
	if _, err := passes(t, keys, cookbookJWS); !errors.Is(err, ErrWrongType) {
		t.Errorf("section 4.1 as an access token: got %v, want %v", err, ErrWrongType)
	}
	if _, err := passes(t, keys, cookbookJWS[:len(cookbookJWS)-4]+"AAAA"); err == nil {
		t.Error("section 4.1 with another signature passes")
	}
	// The proofs of RFC 9449 are tokens with a type of their own.
	const proof = `eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`
	if _, err := newVerifier(t, nil).Verify(t.Context(), proof); !errors.Is(err, ErrWrongType) {
		t.Errorf("a DPoP proof as an access token: got %v, want %v", err, ErrWrongType)
	}
}

// TestTheExampleOfRFC9449Section7_1 checks the section's proof with the clock of
// its day. Its access token is an opaque one, so here the same key's proof is
// refused for the token that it is not for.
func TestTheExampleOfRFC9449Section7_1(t *testing.T) {
	t.Parallel()
	const jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	const proof = `eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`
	day := time.Unix(1562262618, 0)
	v := newVerifier(t, func(c *Config) { c.Now = func() time.Time { return day } })
	token := mint(t, "es", claimsJSON(t, map[string]any{"cnf": map[string]any{"jkt": jkt}, "iat": day.Unix(), "exp": day.Unix() + 60, "auth_time": day.Unix()}))
	_, err := v.VerifyProof(t.Context(), token, Proof{proof, "GET", "https://resource.example.org/protectedresource"})
	if !errors.Is(err, ErrProof) {
		t.Errorf("got %v, want the proof refused: it is for another token", err)
	}
}

// TestGapsOfTheAttackSuite has what TestAttacks does not: keys and tokens that
// are pushed to their bounds.
func TestGapsOfTheAttackSuite(t *testing.T) {
	t.Parallel()
	good := claimsJSON(t, nil)
	nested := strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000)
	keys := keysFor("es", "ed", "rs")
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		for id := range keys.keys {
			if keys.keys[id].Algorithm == alg {
				continue
			}
			// The key of one algorithm under a header that says another, signed by
			// a key of that one: the kid chooses the key, the key the algorithm.
			signer := map[string]string{"ES256": "attacker", "EdDSA": "ed", "RS256": "rs"}[alg]
			text := b64([]byte(`{"alg":"`+alg+`","typ":"at+jwt","kid":"`+id+`"}`)) + "." + b64([]byte(good))
			sig, err := jws.SignText(alg, text, signers()[signer])
			if err != nil {
				t.Fatal(err)
			}
			token := text + "." + b64(sig)
			v := newVerifier(t, func(c *Config) { c.Keys, c.Algorithms = keys, []string{"ES256", "EdDSA", "RS256"} })
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s under the key %s: got %v", alg, id, err)
			}
		}
	}
	for name, token := range map[string]string{
		"a deeply nested header":       forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"es","x":`+nested+`}`, good),
		"a deeply nested claim":        forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"es"}`, `{"x":`+nested+`,`+good[1:]),
		"a jwk that is nested":         forge(t, "attacker", `{"alg":"ES256","typ":"at+jwt","kid":"es","jwk":{"kty":{"kty":{}}}}`, good),
		"a thousand claims":            forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"es"}`, `{`+strings.Repeat(`"":0,`, 999)+good[1:]),
		"a name twice in the header":   forge(t, "es", `{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"es"}`, good),
		"a kid twice in the header":    forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"x","\u006bid":"es"}`, good),
		"an exp in the clothes of one": forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"es"}`, strings.Replace(good, `"exp"`, `"EXP"`, 1)),
		"an exp beyond all numbers":    forge(t, "es", `{"alg":"ES256","typ":"at+jwt","kid":"es"}`, strings.Replace(good, `"exp":`, `"exp":1e`, 1)),
	} {
		v := newVerifier(t, nil)
		claims, err := v.Verify(t.Context(), token)
		nestedFine := strings.HasPrefix(name, "a deeply nested") && err == nil // short of the limit it is a member like others
		if claims != nil && !nestedFine {
			t.Errorf("%s: got %v, %v", name, claims, err)
		}
	}
}
