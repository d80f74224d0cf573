package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

func TestExamplesOfTheRFCs(t *testing.T) {
	t.Parallel()
	const joe = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	tests := []struct{ name, key, token string }{
		{
			"RFC 7515 A.2", `"kty":"RSA","e":"AQAB","n":"` + rfcN + `"`,
			"eyJhbGciOiJSUzI1NiJ9" + joe +
				"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQ" +
				"jbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqt" +
				"FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		},
		{
			"RFC 7515 A.3", rfcEC,
			"eyJhbGciOiJFUzI1NiJ9" + joe + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		},
		{
			"RFC 8037 A.4", rfcED,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
				"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		},
	}
	for _, tt := range tests {
		key, ok := parseKey([]byte(`{"kid":"rfc",` + tt.key + `}`))
		if !ok {
			t.Fatalf("%s: the key is refused", tt.name)
		}
		tok, err := Parse(tt.token)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if err := tok.Verify(key.Algorithm, key.Public); err != nil {
			t.Errorf("%s: got %v, want a valid signature", tt.name, err)
		}
	}
}

func TestEd25519SignsAsInRFC8037(t *testing.T) {
	t.Parallel()
	seed, err := encoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Sign(Header{Alg: EdDSA}, []byte("Example of Ed25519 signing"), ed25519.NewKeyFromSeed(seed))
	want := "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestThumbprintsOfTheRFCs(t *testing.T) {
	t.Parallel()
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	for _, tt := range []struct{ name, key, want string }{
		{"RFC 7638 3.1", `"kty":"RSA","n":"` + n + `","e":"AQAB","alg":"RS256"`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037 A.3", rfcED, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		key, ok := parseKey([]byte(`{"kid":"2011-04-29",` + tt.key + `}`))
		if !ok {
			t.Fatalf("%s: the key is refused", tt.name)
		}
		if got, err := Thumbprint(key.Public); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestTheKeySetOfRFC7517 reads appendix A.1: an EC key for encryption and an RSA
// key for signatures.
func TestTheKeySetOfRFC7517(t *testing.T) {
	t.Parallel()
	got, err := ParseSet([]byte(`{"keys":[
		{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
		{"kty":"RSA","n":"` + rfcN + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`))
	if err != nil || len(got) != 1 || got[0].ID != "2011-04-29" || got[0].Algorithm != RS256 {
		t.Errorf("got %v, %v, want the RSA key alone", got, err)
	}
}

type wycheproofGroup[T any] struct {
	Public       json.RawMessage `json:"public"`
	Private      json.RawMessage `json:"private"`
	PublicKeyDer string          `json:"publicKeyDer"`
	PublicKeyJwk json.RawMessage `json:"publicKeyJwk"`
	Tests        []T             `json:"tests"`
}

type wycheproofJWS struct {
	TcID    int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"`
	Result  string          `json:"result"`
}

type wycheproofSignature struct {
	TcID    int      `json:"tcId"`
	Comment string   `json:"comment"`
	Flags   []string `json:"flags"`
	Msg     string   `json:"msg"`
	Sig     string   `json:"sig"`
	Result  string   `json:"result"`
}

func readWycheproof[T any](t *testing.T, file string) []wycheproofGroup[T] {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		TestGroups []wycheproofGroup[T] `json:"testGroups"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.TestGroups
}

// wycheproofKeys reads the key or key set of a group.
func wycheproofKeys(t *testing.T, g wycheproofGroup[wycheproofJWS]) []Key {
	t.Helper()
	raw := g.Public
	if raw == nil {
		raw = g.Private // symmetric keys, and mixed sets
	}
	if !strings.Contains(string(raw), `"keys"`) {
		raw = json.RawMessage(`{"keys":[` + string(raw) + `]}`)
	}
	keys, err := ParseSet(raw)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// accepts is what a verifier does with these two packages' parts: parse, find
// the key by its id, verify with the key's algorithm.
func accepts(raw json.RawMessage, keys []Key) bool {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return false // the JSON serialization, which is an object here
	}
	tok, err := Parse(text)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == tok.Header.Kid })
	return i >= 0 && tok.Verify(keys[i].Algorithm, keys[i].Public) == nil
}

func TestWycheproofTokensAndKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file    string
		atLeast int // vectors under keys of ours, so that a new layout of the file cannot empty the test
		roca    int // see below
	}{
		{"json_web_signature_test.json", 270, 0},
		{"json_web_key_test.json", 2, 7},
		{"json_web_crypto_test.json", 28, 46},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			ours, foreign := 0, 0
			for _, g := range readWycheproof[wycheproofJWS](t, tt.file) {
				keys := wycheproofKeys(t, g)
				for _, v := range g.Tests {
					if v.JWS == nil {
						continue // an encrypted token; we neither write nor read those
					}
					if v.TcID == tt.roca {
						// A key from a chip with the ROCA flaw. Keys come from an
						// issuer that makes them in software; we have no detector.
						continue
					}
					want := v.Result == "valid"
					if len(keys) == 0 {
						// HMAC, RSA-PSS, SHA-384 and SHA-512 are not among our
						// algorithms, and the rest are keys that nobody should
						// use. Either way nothing may pass.
						want = false
						foreign++
					} else {
						ours++
					}
					if got := accepts(v.JWS, keys); got != want {
						t.Errorf("vector %d, %s: got accepted %v, want %v", v.TcID, v.Comment, got, want)
					}
				}
			}
			t.Logf("%d vectors under keys of ours, %d under keys that are none", ours, foreign)
			if ours < tt.atLeast {
				t.Errorf("got %d vectors under keys of ours, want at least %d", ours, tt.atLeast)
			}
		})
	}
}

func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file, alg string
		atLeast   int
	}{
		{"ecdsa_secp256r1_sha256_p1363_test.json", ES256, 262},
		{"ed25519_test.json", EdDSA, 150},
		{"rsa_signature_2048_sha256_test.json", RS256, 250},
		{"rsa_signature_3072_sha256_test.json", RS256, 250},
		{"rsa_signature_4096_sha256_test.json", RS256, 250},
		{"rsa_signature_8192_sha256_test.json", RS256, 250},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			count := 0
			for _, g := range readWycheproof[wycheproofSignature](t, tt.file) {
				pub := wycheproofPublic(t, g)
				for _, v := range g.Tests {
					if v.Result == "acceptable" {
						continue // "Missing NULL": RFC 8017 lets a verifier choose
					}
					count++
					tok := Token{Header: Header{Alg: tt.alg}, signed: unhex(t, v.Msg), signature: []byte(unhex(t, v.Sig))}
					if got, want := tok.Verify(tt.alg, pub) == nil, v.Result == "valid"; got != want {
						t.Errorf("vector %d, %s %v: got valid %v, want %v", v.TcID, v.Comment, v.Flags, got, want)
					}
				}
			}
			if count < tt.atLeast {
				t.Errorf("got %d vectors, want at least %d", count, tt.atLeast)
			}
		})
	}
}

// wycheproofPublic reads the key of a group, and through our JWK parser too when
// the group has it in that form.
func wycheproofPublic(t *testing.T, g wycheproofGroup[wycheproofSignature]) crypto.PublicKey {
	t.Helper()
	pub, err := x509.ParsePKIXPublicKey([]byte(unhex(t, g.PublicKeyDer)))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.PublicKeyJwk) > 0 {
		key, ok := parseKey(g.PublicKeyJwk)
		if !ok {
			t.Fatalf("got the key refused, want it read: %s", g.PublicKeyJwk)
		}
		if !key.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(pub) {
			t.Errorf("got %v, want %v", key.Public, pub)
		}
	}
	return pub
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPsychicSignatures tries all corners of CVE-2022-21449 on a key of our own.
func TestPsychicSignatures(t *testing.T) {
	t.Parallel()
	pub := testKeys()[ES256].Public().(*ecdsa.PublicKey)
	order := elliptic.P256().Params().N.Bytes()
	corners := [][]byte{make([]byte, 32), append(make([]byte, 31), 1), order, slices.Repeat([]byte{0xff}, 32)}
	for _, r := range corners {
		for _, s := range corners {
			tok := Token{Header: Header{Alg: ES256}, signed: "a.b", signature: slices.Concat(r, s)}
			if tok.Verify(ES256, pub) == nil {
				t.Errorf("r %x, s %x: got a valid signature", r, s)
			}
		}
	}
}
