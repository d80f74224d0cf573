package dpop

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

// The examples of RFC 9449: the proof of section 4.1 for a token request, and
// the one of section 7.1 with the access token that it goes with.
const (
	rfcKey    = `eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19`
	rfcProof  = rfcKey + `.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`
	rfcAccess = `Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU`
	rfcBound  = rfcKey + `.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`
	rfcJKT    = `0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I` // section 6.1
)

func TestExamplesOfRFC9449(t *testing.T) {
	t.Parallel()
	p, err := Parse(rfcProof)
	if err != nil {
		t.Fatal(err)
	}
	want := Proof{Thumbprint: rfcJKT, ID: "-BwC3ESc6acc2lTc", Method: "POST", URL: "https://server.example.com/token", IssuedAt: time.Unix(1562262616, 0)}
	if p != want {
		t.Errorf("section 4.1: got %+v, want %+v", p, want)
	}
	w := Want{Method: "POST", URL: "https://server.example.com/token", Now: time.Unix(1562262620, 0), Past: time.Minute, Future: time.Second}
	if err := p.Check(w); err != nil {
		t.Errorf("section 4.1: got %v", err)
	}
	b, err := Parse(rfcBound)
	if err != nil {
		t.Fatal(err)
	}
	w.Method, w.URL, w.Access, w.Thumbprint = "GET", "https://resource.example.org/protectedresource", rfcAccess, rfcJKT
	if err := b.Check(w); err != nil {
		t.Errorf("section 7.1: got %v", err)
	}
	w.Access += "x"
	if err := b.Check(w); !errors.Is(err, ErrAccess) {
		t.Errorf("section 7.1 with another access token: got %v", err)
	}
}

var testNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

var signers = sync.OnceValue(func() map[string]crypto.Signer {
	m := map[string]crypto.Signer{}
	for _, alg := range Algorithms() {
		key, err := jws.Generate(alg)
		if err != nil {
			panic(err)
		}
		m[alg] = key
	}
	return m
})

// prove signs a proof, with members of header and claims changed, or taken out
// if nil.
func prove(t testing.TB, key crypto.Signer, header, claims map[string]any) string {
	t.Helper()
	jwk, err := jws.MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	alg, err := jws.Algorithm(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	h := map[string]any{"typ": "dpop+jwt", "alg": alg, "jwk": json.RawMessage(jwk)}
	c := map[string]any{"jti": "id-1", "htm": "GET", "htu": "https://api.example.com/orders", "iat": testNow.Unix()}
	for _, m := range []struct{ of, by map[string]any }{{h, header}, {c, claims}} {
		maps.Copy(m.of, m.by)
		maps.DeleteFunc(m.of, func(_ string, v any) bool { return v == nil })
	}
	return signRaw(t, key, mustJSON(t, h), mustJSON(t, c))
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// signRaw signs whatever it is given: jws.Sign would refuse most of it.
func signRaw(t testing.TB, key crypto.Signer, header, claims string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	alg, err := jws.Algorithm(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	signed, err := jws.SignText(alg, text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(signed)
}

func TestAProofOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	for alg, key := range signers() {
		p, err := Parse(prove(t, key, nil, map[string]any{"ath": "h", "nonce": "n", "iat": 1764072000.25}))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		jkt, _ := jws.Thumbprint(key.Public())
		if p.Thumbprint != jkt || p.AccessHash != "h" || p.Nonce != "n" || !p.IssuedAt.Equal(time.UnixMilli(1764072000250)) {
			t.Errorf("%s: got %+v", alg, p)
		}
	}
}

// TestChecksOfRFC9449Section4_3 breaks one thing of a good proof at a time.
func TestChecksOfRFC9449Section4_3(t *testing.T) {
	t.Parallel()
	key := signers()["ES256"]
	other, err := jws.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := jws.MarshalPublic(key.Public())
	otherJWK, _ := jws.MarshalPublic(other.Public())
	private := strings.TrimSuffix(string(jwk), "}") + `,"d":"AAAA"}`
	header := func(h map[string]any) string { return prove(t, key, h, nil) }
	claims := func(c map[string]any) string { return prove(t, key, nil, c) }
	good := header(nil)
	parts := strings.Split(good, ".")
	raw := func(h, c string) string { return signRaw(t, key, h, c) }
	goodHeader, goodClaims := `{"typ":"dpop+jwt","alg":"ES256","jwk":`+string(jwk)+`}`, `{"jti":"1","htm":"GET","htu":"https://api.example.com/orders","iat":1764072000}`
	for _, tt := range []struct {
		name, proof string
		good        bool
	}{
		{"a good one", good, true},
		{"a good one by hand", raw(goodHeader, goodClaims), true},
		{"an unknown claim more", claims(map[string]any{"foo": 1}), true},
		{"2: nothing", "", false},
		{"2: two parts", parts[0] + "." + parts[1], false},
		{"2: two proofs in one header", good + ", " + good, false},
		{"2: padding", good + "=", false},
		{"2: huge", strings.Repeat("A", MaxProof+1), false},
		{"2: claims that are a list", raw(goodHeader, "["+goodClaims+"]"), false},
		{"2: claims twice", raw(goodHeader, `{"jti":"2",`+goodClaims[1:]), false},
		{"2: a header twice", raw(`{"typ":"x",`+goodHeader[1:], goodClaims), false},
		{"2: crit", header(map[string]any{"crit": []string{"exp"}}), false},
		{"3: no jti", claims(map[string]any{"jti": nil}), false},
		{"3: an empty jti", claims(map[string]any{"jti": ""}), false},
		{"3: a jti that is huge", claims(map[string]any{"jti": strings.Repeat("j", maxID+1)}), false},
		{"3: a jti that is a number", claims(map[string]any{"jti": 1}), false},
		{"3: no htm", claims(map[string]any{"htm": nil}), false},
		{"3: no htu", claims(map[string]any{"htu": nil}), false},
		{"3: no iat", claims(map[string]any{"iat": nil}), false},
		{"3: iat of null", raw(goodHeader, strings.Replace(goodClaims, "1764072000", "null", 1)), false},
		{"3: iat beyond all times", claims(map[string]any{"iat": 1e300}), false},
		{"3: a negative iat", claims(map[string]any{"iat": -1}), false},
		{"3: an iat that is text", claims(map[string]any{"iat": "1764072000"}), false},
		{"an empty ath", claims(map[string]any{"ath": ""}), false},
		{"an empty nonce", claims(map[string]any{"nonce": ""}), false},
		{"4: no typ", header(map[string]any{"typ": nil}), false},
		{"4: an access token's typ", header(map[string]any{"typ": "at+jwt"}), false},
		{"5: alg none", header(map[string]any{"alg": "none"}), false},
		{"5: an HMAC", header(map[string]any{"alg": "HS256"}), false},
		{"5: a weaker sibling of the key's", header(map[string]any{"alg": "ES384"}), false},
		{"6: another key's signature", header(map[string]any{"jwk": json.RawMessage(otherJWK)}), false},
		{"6: an empty signature", parts[0] + "." + parts[1] + ".", false},
		{"6: claims swapped", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(goodClaims)) + "." + parts[2], false},
		{"7: the private key too", header(map[string]any{"jwk": json.RawMessage(private)}), false},
		{"7: a symmetric key", header(map[string]any{"jwk": json.RawMessage(`{"kty":"oct","k":"AAAA"}`)}), false},
		{"7: no key", header(map[string]any{"jwk": nil}), false},
		{"7: a null key", header(map[string]any{"jwk": json.RawMessage("null")}), false},
		{"7: where a key would be", header(map[string]any{"jwk": nil, "jku": "https://evil.example/jwks.json"}), false},
		{"7: a key off the curve", header(map[string]any{"jwk": json.RawMessage(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`)}), false},
	} {
		p, err := Parse(tt.proof)
		if (err == nil) != tt.good || !tt.good && (!errors.Is(err, ErrMalformed) || p != Proof{}) {
			t.Errorf("%s: got %+v, %v", tt.name, p, err)
		}
	}
}

func TestAProofIsForOneRequest(t *testing.T) {
	t.Parallel()
	p, err := Parse(prove(t, signers()["ES256"], nil, map[string]any{"ath": AccessHash("token")}))
	if err != nil {
		t.Fatal(err)
	}
	good := Want{Method: "GET", URL: "https://api.example.com/orders", Now: testNow, Past: time.Minute, Future: 5 * time.Second, Access: "token", Thumbprint: p.Thumbprint}
	for _, tt := range []struct {
		name   string
		change func(*Want)
		want   error
	}{
		{"the request", func(*Want) {}, nil},
		{"with a query", func(w *Want) { w.URL += "?a=b#c" }, nil},
		{"8: another method", func(w *Want) { w.Method = "DELETE" }, ErrRequest},
		{"8: the method in other letters", func(w *Want) { w.Method = "get" }, ErrRequest},
		{"9: another path", func(w *Want) { w.URL += "/1" }, ErrRequest},
		{"9: another host", func(w *Want) { w.URL = "https://api.example.org/orders" }, ErrRequest},
		{"9: plain http", func(w *Want) { w.URL = "http://api.example.com/orders" }, ErrRequest},
		{"9: nothing to compare with", func(w *Want) { w.URL = "" }, ErrRequest},
		{"11: at the end of its time", func(w *Want) { w.Now = testNow.Add(time.Minute) }, nil},
		{"11: a moment too old", func(w *Want) { w.Now = testNow.Add(time.Minute + time.Second) }, ErrStale},
		{"11: a clock a little ahead", func(w *Want) { w.Now = testNow.Add(-5 * time.Second) }, nil},
		{"11: from the future", func(w *Want) { w.Now = testNow.Add(-6 * time.Second) }, ErrStale},
		{"12: another access token", func(w *Want) { w.Access = "Token" }, ErrAccess},
		{"12: another key", func(w *Want) { w.Thumbprint = rfcJKT }, ErrKey},
	} {
		w := good
		tt.change(&w)
		if err := p.Check(w); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	p.AccessHash = ""
	if err := p.Check(good); !errors.Is(err, ErrAccess) {
		t.Errorf("12: a proof for no access token: got %v", err)
	}
}

func TestURLsAreComparedInOneForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"https://a.example/x", "HTTPS://A.EXAMPLE:443/x", true},
		{"https://a.example", "https://a.example/", true},
		{"http://a.example:80/", "http://a.example", true},
		{"https://a.example/%7Ex/%2f", "https://a.example/~x/%2F", true},
		{"https://a.example/a/./b/../c", "https://a.example/a/c", true},
		{"https://a.example/a/b/..", "https://a.example/a/", true},
		{"https://a.example/../../x", "https://a.example/x", true},
		{"https://[2001:DB8::1]:443/x", "https://[2001:db8::1]/x", true},
		{"https://a.example/x?y", "https://a.example/x#z", true},
		{"https://a.example/x", "https://a.example/x/", false},
		{"https://a.example/x", "https://a.example//x", false},
		{"https://a.example/X", "https://a.example/x", false},
		{"https://a.example/a%2Fb", "https://a.example/a/b", false},
		{"https://a.example:8443/", "https://a.example/", false},
		{"https://a.example:80/", "http://a.example/", false},
		{"https://u@a.example/", "https://a.example/", false},
		{"ftp://a.example/", "ftp://a.example/", false},
		{"/x", "/x", false}, {"", "", false}, {"https:a.example", "https:a.example", false}, {"https://:443/", "https://:443/", false},
	} {
		if got := sameURL(tt.a, tt.b); got != tt.same {
			t.Errorf("%q and %q: got %v, want %v", tt.a, tt.b, got, tt.same)
		}
	}
}

func TestAProofIsTakenOnce(t *testing.T) {
	t.Parallel()
	r, now := NewReplayed(1000), testNow
	p := Proof{Thumbprint: "a", ID: "1"}
	if r.Before(p, now, time.Minute) {
		t.Error("a new proof was here before")
	}
	for _, after := range []time.Duration{0, time.Second, 59 * time.Second, 60 * time.Second, -time.Hour} {
		if !r.Before(p, now.Add(after), time.Minute) {
			t.Errorf("after %v the proof is new again", after)
		}
	}
	if r.Before(Proof{Thumbprint: "b", ID: "1"}, now, time.Minute) {
		t.Error("another key's proof with the same id was here before")
	}
	if r.Before(p, now.Add(time.Hour), time.Minute) {
		t.Error("a proof is remembered for an hour")
	}
	for i := range 5000 {
		r.Before(Proof{Thumbprint: "c", ID: string(rune(i))}, now.Add(time.Hour), time.Minute)
		if n := len(r.young) + len(r.old); n > 1000 {
			t.Fatalf("%d proofs are remembered", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(rfcProof)
	f.Add(rfcBound)
	f.Add(prove(f, signers()["EdDSA"], nil, map[string]any{"nonce": "n"}))
	f.Add("..")
	f.Fuzz(func(t *testing.T, proof string) {
		p, err := Parse(proof)
		if err != nil {
			if p != (Proof{}) {
				t.Errorf("got %+v beside %v", p, err)
			}
			return
		}
		if len(p.Thumbprint) != 43 || p.ID == "" || p.Method == "" || p.URL == "" || p.IssuedAt.IsZero() {
			t.Errorf("got %+v", p)
		}
		_ = p.Check(Want{Method: p.Method, URL: p.URL})
	})
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"https://a.example/%7e/../x?y", "http://[::1]:80//", "https://a/%", "HTTP://A:443/a/./"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, ok := normalise(s)
		if !ok {
			return
		}
		if twice, ok := normalise(once); !ok || twice != once {
			t.Errorf("%q: got %q, and then %q", s, once, twice)
		}
	})
}

func BenchmarkParseAndCheck(b *testing.B) {
	proof := prove(b, signers()["ES256"], nil, map[string]any{"ath": AccessHash("token")})
	w := Want{Method: "GET", URL: "https://api.example.com/orders", Now: testNow, Past: time.Minute, Access: "token"}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Parse(proof)
		if err != nil || p.Check(w) != nil {
			b.Fatal(err)
		}
	}
}
