package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testKeys makes one key per algorithm; RSA keys take long.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for _, alg := range []string{ES256, EdDSA, RS256} {
		key, err := Generate(alg)
		if err != nil {
			panic(err)
		}
		keys[alg] = key
	}
	return keys
})

func b64(s string) string { return encoding.EncodeToString([]byte(s)) }

// forge signs a header that Sign would not write.
func forge(t *testing.T, header, payload string, key crypto.Signer) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	alg, err := Algorithm(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sign(make([]byte, 64), alg, []byte(signed), key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encoding.EncodeToString(sig)
}

func TestASignedTokenVerifies(t *testing.T) {
	t.Parallel()
	for alg, key := range testKeys() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			want := Header{Alg: alg, Typ: "at+jwt", Kid: "k-1"}
			token, err := Sign(want, []byte(`{"a":1}`), key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if got.Header != want || string(got.Payload) != `{"a":1}` {
				t.Errorf("got %+v and payload %q, want %+v and the payload signed", got.Header, got.Payload, want)
			}
			if err := got.Verify(alg, key.Public()); err != nil {
				t.Errorf("got %v, want a valid signature", err)
			}
			other, err := Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Verify(alg, other.Public()); !errors.Is(err, ErrSignature) {
				t.Errorf("with another key: got %v, want %v", err, ErrSignature)
			}
		})
	}
}

func TestES256SignaturesHaveFixedWidth(t *testing.T) {
	t.Parallel()
	// One number in 128 begins with a zero byte, so that 2000 signatures have
	// about 15 that a careless encoder gets wrong.
	key := testKeys()[ES256]
	for range 2000 {
		token, err := Sign(Header{Alg: ES256}, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify(ES256, key.Public()); err != nil {
			t.Fatalf("%s: got %v, want a valid signature", token, err)
		}
	}
}

func TestFixedWidthRefusesWhatIsNoSignature(t *testing.T) {
	t.Parallel()
	r33 := "\x30\x26\x02\x21\x01" + strings.Repeat("x", 32) + "\x02\x01\x01"
	for _, der := range []string{
		"", "\x30", "\x30\x00", "\x31\x06\x02\x01\x01\x02\x01\x01", "\x30\x07\x02\x01\x01\x02\x01\x01", "\x30\x06\x03\x01\x01\x02\x01\x01",
		"\x30\x06\x02\x05\x01\x02\x01\x01", "\x30\x07\x02\x01\x01\x02\x01\x01\x00", "\x30\x03\x02\x01\x01", r33,
	} {
		if got, ok := fixedWidth(nil, []byte(der)); ok {
			t.Errorf("%x: got %x, want a refusal", der, got)
		}
	}
	got, ok := fixedWidth(nil, []byte("\x30\x06\x02\x01\x05\x02\x01\x07"))
	want := append(append(make([]byte, 31), 5), append(make([]byte, 31), 7)...)
	if !ok || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v, want %x", got, ok, want)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		header  Header
		payload string
		key     crypto.Signer
		want    error
	}{
		{"no key", Header{Alg: ES256}, "{}", nil, ErrKey},
		{"an algorithm that is not the key's", Header{Alg: EdDSA}, "{}", keys[ES256], ErrAlgorithm},
		{"algorithm none", Header{Alg: "none"}, "{}", keys[ES256], ErrAlgorithm},
		{"no algorithm", Header{}, "{}", keys[ES256], ErrAlgorithm},
		{"a key on another curve", Header{Alg: ES256}, "{}", p384, ErrKey},
		{"a kid that needs escaping", Header{Alg: ES256, Kid: `a","alg":"none`}, "{}", keys[ES256], ErrMalformed},
		{"a kid with a line break", Header{Alg: ES256, Kid: "a\n"}, "{}", keys[ES256], ErrMalformed},
		{"a typ that is not ASCII", Header{Alg: ES256, Typ: "빗장"}, "{}", keys[ES256], ErrMalformed},
		{"a kid that is too long", Header{Alg: ES256, Kid: strings.Repeat("k", MaxKeyID+1)}, "{}", keys[ES256], ErrMalformed},
		{"a token that Parse would refuse for its length", Header{Alg: ES256}, strings.Repeat("x", MaxToken), keys[ES256], ErrMalformed},
		{"a signer that fails", Header{Alg: ES256}, "{}", brokenSigner{keys[ES256], nil}, errBroken},
		{"a signer that answers nonsense", Header{Alg: ES256}, "{}", brokenSigner{keys[ES256], []byte("nonsense")}, ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Sign(tt.header, []byte(tt.payload), tt.key)
			if got != "" || !errors.Is(err, tt.want) {
				t.Errorf("got %q, %v, want no token and %v", got, err, tt.want)
			}
		})
	}
}

var errBroken = errors.New("the key is on holiday")

type brokenSigner struct {
	crypto.Signer
	answer []byte
}

func (b brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if b.answer == nil {
		return nil, errBroken
	}
	return b.answer, nil
}

func TestParseRefusesWhatIsNotOneTokenInOneSpelling(t *testing.T) {
	t.Parallel()
	key := testKeys()[ES256]
	// One byte of payload leaves four unused bits in its second character.
	good := forge(t, `{"alg":"ES256","kid":"k"}`, "x", key)
	if tok, err := Parse(good); err != nil || tok.Verify(ES256, key.Public()) != nil {
		t.Fatalf("the good token is refused: %v", err)
	}
	parts := strings.Split(good, ".")
	header := func(h string) string { return forge(t, h, "{}", key) }
	deep := `{"alg":"ES256","x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`
	if _, err := Parse(header(deep)); err != nil {
		t.Errorf("deeply nested: got %v, want it ignored", err)
	}
	var many strings.Builder
	for i := range maxMembers {
		fmt.Fprintf(&many, `,"m%d":1`, i)
	}
	tests := map[string]string{
		"nothing":                             "",
		"two dots":                            "..",
		"one part":                            parts[0],
		"two parts":                           parts[0] + "." + parts[1],
		"four parts":                          good + ".",
		"five parts, as an encrypted token":   good + ".a.b",
		"a trailing newline":                  good + "\n",
		"a leading space":                     " " + good,
		"a newline in the header":             parts[0][:4] + "\n" + parts[0][4:] + "." + parts[1] + "." + parts[2],
		"a carriage return in the signature":  parts[0] + "." + parts[1] + "." + parts[2][:4] + "\r" + parts[2][4:],
		"padding":                             parts[0] + "." + parts[1] + "==." + parts[2],
		"bits behind the last byte":           parts[0] + "." + parts[1][:1] + "B." + parts[2],
		"the characters of plain base64":      parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43),
		"a token too long by one":             parts[0] + "." + strings.Repeat("A", MaxToken-len(parts[0])-len(parts[2])-1) + "." + parts[2],
		"an empty header":                     "." + parts[1] + "." + parts[2],
		"a header that is not JSON":           header("alg=ES256"),
		"a header with text behind it":        header(`{"alg":"ES256"}{}`),
		"a header that is a list":             header(`["alg","ES256"]`),
		"a header that is a string":           header(`"alg"`),
		"a header that is null":               header(`null`),
		"a header that is not UTF-8":          header("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"),
		"a header without alg":                header(`{"typ":"JWT"}`),
		"a header with alg in capitals":       header(`{"ALG":"ES256"}`),
		"alg that is a number":                header(`{"alg":256}`),
		"alg that is null":                    header(`{"alg":null}`),
		"alg that is empty":                   header(`{"alg":""}`),
		"alg twice":                           header(`{"alg":"ES256","alg":"ES256"}`),
		"alg twice, once in disguise":         header(`{"alg":"ES256","\u0061lg":"none"}`),
		"an unknown name twice":               header(`{"alg":"ES256","x":1,"x":2}`),
		"kid that is a list":                  header(`{"alg":"ES256","kid":["k"]}`),
		"kid that is too long":                header(`{"alg":"ES256","kid":"` + strings.Repeat("k", MaxKeyID+1) + `"}`),
		"typ that is a number":                header(`{"alg":"ES256","typ":1}`),
		"crit":                                header(`{"alg":"ES256","crit":["exp"],"exp":1}`),
		"crit that is empty":                  header(`{"alg":"ES256","crit":[]}`),
		"b64":                                 header(`{"alg":"ES256","b64":true}`),
		"more names than can be meant to be":  header(`{"alg":"ES256"` + many.String() + `}`),
		"brackets deeper than JSON is parsed": b64(strings.Repeat("[", 6000)) + "." + parts[1] + "." + parts[2],
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(token); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want %v", err, ErrMalformed)
			}
		})
	}
}

func TestATokenOfTheGreatestLengthIsParsed(t *testing.T) {
	t.Parallel()
	token := b64(`{"alg":"ES256"}`) + ".."
	token += strings.Repeat("A", MaxToken-len(token))
	if len(token) != MaxToken {
		t.Fatalf("got a token of %d bytes, want %d", len(token), MaxToken)
	}
	if _, err := Parse(token); err != nil {
		t.Errorf("got %v, want it parsed", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	es, ed := keys[ES256].Public(), keys[EdDSA].Public()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(es)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) string {
		signed := b64(`{"alg":"HS256"}`) + "." + b64("{}")
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + encoding.EncodeToString(mac.Sum(nil))
	}
	signed := b64(`{"alg":"ES256"}`) + "." + b64("{}") + "."
	good, err := Sign(Header{Alg: ES256}, []byte("{}"), keys[ES256])
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		token string
		alg   string
		pub   crypto.PublicKey
		want  error
	}{
		{"algorithm none", b64(`{"alg":"none"}`) + "." + b64("{}") + ".", ES256, es, ErrAlgorithm},
		{"algorithm none, asked for", b64(`{"alg":"none"}`) + "." + b64("{}") + ".", "none", es, ErrKey},
		{"the public key as an HMAC secret", hs256(der), ES256, es, ErrAlgorithm},
		{"the public key as an HMAC secret, asked for", hs256(der), "HS256", es, ErrKey},
		{"an algorithm in small letters", forge(t, `{"alg":"es256"}`, "{}", keys[ES256]), ES256, es, ErrAlgorithm},
		{"an algorithm in small letters, asked for", forge(t, `{"alg":"es256"}`, "{}", keys[ES256]), "es256", es, ErrKey},
		{"another algorithm than expected", good, EdDSA, ed, ErrAlgorithm},
		{"a key of another type", good, ES256, ed, ErrKey},
		{"a header that lies about the algorithm", forge(t, `{"alg":"RS256"}`, "{}", keys[ES256]), RS256, es, ErrKey},
		{"no key", good, ES256, nil, ErrKey},
		{"a nil key", good, ES256, (*ecdsa.PublicKey)(nil), ErrKey},
		{"an empty Ed25519 key", forge(t, `{"alg":"EdDSA"}`, "{}", keys[EdDSA]), EdDSA, ed25519.PublicKey{}, ErrKey},
		{"an RSA key of 1024 bits", forge1024(t, small), RS256, small.Public(), ErrKey},
		{"no signature", signed, ES256, es, ErrSignature},
		{"no Ed25519 signature", b64(`{"alg":"EdDSA"}`) + "." + b64("{}") + ".", EdDSA, ed, ErrSignature},
		{"no RSA signature", b64(`{"alg":"RS256"}`) + "." + b64("{}") + ".", RS256, keys[RS256].Public(), ErrSignature},
		{"r and s of zero", signed + encoding.EncodeToString(make([]byte, 64)), ES256, es, ErrSignature},
		{"a zero before s", good[:len(good)-86] + widened(t, good), ES256, es, ErrSignature},
		{"a signature in ASN.1", signed + asn1Signature(t, signed[:len(signed)-1]), ES256, es, ErrSignature},
		{"another payload", strings.Replace(good, b64("{}"), b64("[]"), 1), ES256, es, ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tok, err := Parse(tt.token)
			if err != nil {
				t.Fatal(err)
			}
			if err := tok.Verify(tt.alg, tt.pub); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// forge1024 signs with a key that sign would refuse to know.
func forge1024(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	signed := b64(`{"alg":"RS256"}`) + "." + b64("{}")
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encoding.EncodeToString(sig)
}

// widened returns the signature of an ES256 token with s in 33 bytes.
func widened(t *testing.T, token string) string {
	t.Helper()
	sig, err := encoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return encoding.EncodeToString(slices.Insert(sig, 32, 0))
}

func asn1Signature(t *testing.T, signed string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(signed))
	sig, err := testKeys()[ES256].Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return encoding.EncodeToString(sig)
}

func TestKeysNamedByATokenAreNeverUsed(t *testing.T) {
	t.Parallel()
	attacker, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := MarshalSet([]Key{{"k", ES256, attacker.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	jwk := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
	for name, member := range map[string]string{
		"jwk": `"jwk":` + jwk, "jku": `"jku":"https://evil.example/jwks.json"`, "x5u": `"x5u":"https://evil.example/c.pem"`, "x5c": `"x5c":["AAAA"]`,
	} {
		tok, err := Parse(forge(t, `{"alg":"ES256","kid":"k",`+member+`}`, "{}", attacker))
		if err != nil {
			t.Fatalf("%s: got %v, want it ignored", name, err)
		}
		if err := tok.Verify(ES256, testKeys()[ES256].Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
}
