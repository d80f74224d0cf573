package bitjang

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sampleToken() refreshToken {
	var t refreshToken
	for i := range t.session {
		t.session[i] = byte(0x10 + i)
	}
	t.generation = 0x01020304
	t.nonce = Nonce{0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27}
	t.parent = Nonce{0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37}
	return t
}

func TestATokenIsLaidOutAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	master := strings.Repeat("5a", 32)
	ring := newRing(t, NewSecret(master))
	text := ring.mint(sampleToken()).Reveal()
	if len(text) != 76 || text[:4] != "bjr_" || strings.ContainsAny(text, "+/=") {
		t.Fatalf("got %d characters, want bjr_ and 72 of base64url without padding", len(text))
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	if err != nil {
		t.Fatal(err)
	}
	// The keys are derived here once more, by RFC 5869 and nothing of the package.
	m, _ := hex.DecodeString(master)
	macKey, _ := hkdf.Key(sha256.New, m, nil, "bitjang v1 refresh token mac", 32)
	id, _ := hkdf.Key(sha256.New, m, nil, "bitjang v1 key id", 1)
	mac := hmac.New(sha256.New, macKey)
	mac.Write(raw[:38])
	for _, field := range []struct {
		name     string
		at, size int
		want     string
	}{
		{"version", 0, 1, "01"},
		{"key id", 1, 1, hex.EncodeToString(id)},
		{"session id", 2, 16, "101112131415161718191a1b1c1d1e1f"},
		{"generation", 18, 4, "01020304"},
		{"nonce", 22, 8, "2021222324252627"},
		{"parent nonce", 30, 8, "3031323334353637"},
		{"MAC", 38, 16, hex.EncodeToString(mac.Sum(nil)[:16])},
	} {
		if got := hex.EncodeToString(raw[field.at : field.at+field.size]); got != field.want {
			t.Errorf("%s: got %s, want %s", field.name, got, field.want)
		}
	}
	if len(raw) != 54 {
		t.Errorf("got %d bytes, want 54", len(raw))
	}
}

func TestATokenComesBackAsItWas(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewMasterKey())
	for _, want := range []refreshToken{{}, sampleToken(), firstToken(NewSessionID("u")), firstToken(NewSessionID("u")).child(), {generation: 1<<32 - 1}} {
		got, err := ring.parse(ring.mint(want))
		if err != nil {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(refreshToken{})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestChildrenOfOneParentDiffer(t *testing.T) {
	t.Parallel()
	parent := firstToken(NewSessionID("u"))
	if parent.generation != 0 || parent.parent != (Nonce{}) || parent.nonce == (Nonce{}) {
		t.Errorf("got %+v, want generation 0, no parent and a nonce", parent)
	}
	a, b := parent.child(), parent.child()
	if a.nonce == b.nonce {
		t.Error("two children have the same nonce: a thief could walk in step")
	}
	for _, c := range []refreshToken{a, b} {
		if c.session != parent.session || c.generation != 1 || c.parent != parent.nonce {
			t.Errorf("got %+v, want generation 1 and the parent's nonce", c)
		}
	}
}

// mangled are all the single-bit errors of a token, in its bytes and in its
// text, and every other way of writing it that came to mind.
func mangled(text string) map[string]string {
	m := map[string]string{}
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	if err != nil {
		panic(err)
	}
	for i := range raw {
		for bit := range 8 {
			b := slices.Clone(raw)
			b[i] ^= 1 << bit
			m[fmt.Sprintf("bit %d of byte %d", bit, i)] = "bjr_" + base64.RawURLEncoding.EncodeToString(b)
		}
	}
	for i := range text {
		for bit := range 8 {
			b := []byte(text)
			b[i] ^= 1 << bit
			m[fmt.Sprintf("bit %d of character %d", bit, i)] = string(b)
		}
		m[fmt.Sprintf("cut to %d", i)] = text[:i]
		m[fmt.Sprintf("without the first %d", i+1)] = text[i+1:]
		for name, c := range map[string]string{"line break": "\n", "return": "\r", "blank": " ", "NUL": "\x00", "A": "A", "=": "="} {
			m[fmt.Sprintf("%s put in at %d", name, i)] = text[:i] + c + text[i:]
			m[fmt.Sprintf("%s in the place of character %d", name, i)] = text[:i] + c + text[i+1:]
		}
	}
	for _, end := range []string{"\n", "\r\n", " ", "=", "==", "A", "AA", "AAAA", ".", "\x00", text} {
		m["extended by "+end] = text + end
	}
	for _, lead := range []string{"\n", " ", "\ufeff", "Bearer "} {
		m["led by "+lead] = lead + text
	}
	m["upper case"] = strings.ToUpper(text)
	m["lower case"] = strings.ToLower(text)
	m["upper-case prefix"] = "BJR_" + text[4:]
	m["another prefix"] = "bjx_" + text[4:]
	m["no prefix"] = text[4:]
	m["padded"] = "bjr_" + base64.URLEncoding.EncodeToString(append(slices.Clone(raw), 0))
	m["standard base64"] = "bjr_" + base64.StdEncoding.EncodeToString(raw)
	m["hex"] = "bjr_" + hex.EncodeToString(raw)
	m["full-width"] = "ｂｊｒ_" + text[4:]
	m["nothing"] = ""
	m["the prefix alone"] = "bjr_"
	m["A's"] = "bjr_" + strings.Repeat("A", 72)
	// The right length with line breaks in it, which Go's decoder would skip.
	m["line breaks at the right length"] = text[:len(text)-4] + "\n\n\n\n"
	m["line breaks within the right length"] = text[:40] + "\r\n\r\n" + text[44:]
	for name, v := range m {
		// The text of a token that holds neither - nor _ is the same in both
		// alphabets, and its upper case may be itself in theory.
		if v == text {
			delete(m, name)
		}
	}
	return m
}

func TestAMangledTokenIsMalformed(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewMasterKey(), NewMasterKey())
	for _, tok := range []refreshToken{sampleToken(), {}, firstToken(NewSessionID("u"))} {
		for name, text := range mangled(ring.mint(tok).Reveal()) {
			got, err := ring.parse(NewSecret(text))
			if !errors.Is(err, ErrTokenMalformed) || got != (refreshToken{}) {
				t.Errorf("%s: got %v, want malformed and nothing else", name, err)
			}
		}
	}
}

func TestTokensOfOtherVersionsAreMalformedThoughTheirMACIsRight(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewMasterKey())
	raw, _ := base64.RawURLEncoding.DecodeString(ring.mint(sampleToken()).Reveal()[4:])
	for version := range 256 {
		b := slices.Clone(raw)
		b[0] = byte(version)
		b = append(b[:tokenBody], ring.keys[0].mac(b[:tokenBody], nil)...)
		_, err := ring.parse(NewSecret("bjr_" + base64.RawURLEncoding.EncodeToString(b)))
		if (err == nil) != (version == 1) {
			t.Errorf("version %d: got %v", version, err)
		}
	}
}

func FuzzParseRefreshToken(f *testing.F) {
	ring, err := newKeyRing([]Secret{NewSecret(strings.Repeat("01", 32)), NewSecret(strings.Repeat("02", 32))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ring.mint(sampleToken()).Reveal())
	f.Add(ring.mint(refreshToken{}).Reveal())
	f.Add("")
	f.Add("bjr_")
	f.Add("bjr_" + strings.Repeat("A", 72))
	f.Add("bjr_" + strings.Repeat("\n", 72))
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := ring.parse(NewSecret(text))
		if err != nil {
			if !errors.Is(err, ErrTokenMalformed) || tok != (refreshToken{}) {
				t.Errorf("got %v, want malformed and nothing else", err)
			}
			return
		}
		// What parses has exactly one spelling, and one of our keys made it.
		again := []string{ring.mint(tok).Reveal(), (&keyRing{keys: ring.keys[1:]}).mint(tok).Reveal()}
		if !slices.Contains(again, text) {
			t.Errorf("%q parses, but is not how we write that token", text)
		}
	})
}
