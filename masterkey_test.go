package bitjang

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func newRing(t *testing.T, masters ...Secret) *keyRing {
	t.Helper()
	ring, err := newKeyRing(masters)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// colliding are two different master keys with one key id. Ids are one byte,
// so a few hundred keys are enough to find them.
func colliding(t *testing.T) (a, b Secret) {
	t.Helper()
	seen := map[byte]Secret{}
	for range 10_000 {
		m := NewMasterKey()
		id := newRing(t, m).keys[0].id
		if other, ok := seen[id]; ok {
			return other, m
		}
		seen[id] = m
	}
	t.Fatal("no two of 10000 master keys have the same id")
	return Secret{}, Secret{}
}

func TestAMasterKeyHasManySpellingsAndOneMeaning(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16) // base64 of these has both of the characters that differ
	want := newRing(t, NewSecret(hex.EncodeToString(raw))).keys[0]
	for name, text := range map[string]string{
		"upper-case hex":             strings.ToUpper(hex.EncodeToString(raw)),
		"base64":                     base64.StdEncoding.EncodeToString(raw),
		"base64 without padding":     base64.RawStdEncoding.EncodeToString(raw),
		"base64url":                  base64.URLEncoding.EncodeToString(raw),
		"base64url without padding":  base64.RawURLEncoding.EncodeToString(raw),
		"a file with a line break":   hex.EncodeToString(raw) + "\n",
		"a file with blanks about":   " \t" + base64.StdEncoding.EncodeToString(raw) + "\r\n",
		"upper- and lower-case both": strings.ToUpper(hex.EncodeToString(raw[:16])) + hex.EncodeToString(raw[16:]),
	} {
		ring, err := newKeyRing([]Secret{NewSecret(text)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := ring.keys[0]; got.id != want.id || !bytes.Equal(got.refresh, want.refresh) {
			t.Errorf("%s: got another key", name)
		}
	}
}

func TestOnly32BytesAreAMasterKey(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{7}, 64)
	for name, text := range map[string]string{
		"nothing": "", "blanks": "   \n", "31 bytes of hex": hex.EncodeToString(raw[:31]), "33 bytes of hex": hex.EncodeToString(raw[:33]),
		"16 bytes of hex": hex.EncodeToString(raw[:16]), "64 bytes of hex": hex.EncodeToString(raw),
		"63 digits": hex.EncodeToString(raw[:32])[1:], "31 bytes of base64": base64.StdEncoding.EncodeToString(raw[:31]),
		"33 bytes of base64": base64.StdEncoding.EncodeToString(raw[:33]), "no hex": strings.Repeat("zz", 32), "a password": "hunter2",
		"32 characters": strings.Repeat("k", 32),
	} {
		_, err := newKeyRing([]Secret{NewMasterKey(), NewSecret(text)})
		if err == nil {
			t.Errorf("%s: got a key, want an error", name)
		} else if shown := strings.TrimSpace(text); shown != "" && strings.Contains(err.Error(), shown) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
	if _, err := newKeyRing(nil); err == nil {
		t.Error("no master key: got a ring, want an error")
	}
	_, err := newKeyRing([]Secret{NewSecret("hunter2")})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error that does not show the key", err)
	}
}

func TestNewMasterKeysAreGoodAndDiffer(t *testing.T) {
	t.Parallel()
	a, b := NewMasterKey(), NewMasterKey()
	if a.Equal(b) {
		t.Error("got the same key twice")
	}
	for _, m := range []Secret{a, b} {
		if raw, err := hex.DecodeString(m.Reveal()); err != nil || len(raw) != 32 {
			t.Errorf("got %d bytes and %v, want 32 bytes of hex", len(raw), err)
		}
	}
}

func TestEveryPurposeHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{9}, 32)
	key, err := deriveKeys(raw)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(key.refresh, raw) || len(key.refresh) != 32 {
		t.Error("the MAC key is the master key itself or not 32 bytes")
	}
	again, _ := deriveKeys(raw)
	if again.id != key.id || !bytes.Equal(again.refresh, key.refresh) {
		t.Error("the same master key gives other keys the second time")
	}
	other, _ := deriveKeys(bytes.Repeat([]byte{10}, 32))
	if bytes.Equal(other.refresh, key.refresh) {
		t.Error("two master keys give the same MAC key")
	}
}

func TestTheFirstMasterKeyMakesAndAllCheck(t *testing.T) {
	t.Parallel()
	older, newer, stranger := NewMasterKey(), NewMasterKey(), NewMasterKey()
	before, during, after := newRing(t, older), newRing(t, newer, older), newRing(t, newer)
	old, fresh := before.mint(firstToken(NewSessionID("u"))), during.mint(firstToken(NewSessionID("u")))
	sealedOld, sealedFresh := before.seal("p", []byte("data")), during.seal("p", []byte("data"))
	for _, tt := range []struct {
		name           string
		ring           *keyRing
		old, fresh     bool
		staleOld, made bool
	}{
		{"before the change", before, true, false, false, false},
		{"while both are in the ring", during, true, true, true, false},
		{"after the old one is gone", after, false, true, false, false},
		{"with another key", newRing(t, stranger), false, false, false, false},
		{"the wrong way round", newRing(t, older, newer), true, true, false, false},
	} {
		if _, err := tt.ring.parse(old); (err == nil) != tt.old {
			t.Errorf("%s: a token of the old key: got %v", tt.name, err)
		}
		if _, err := tt.ring.parse(fresh); (err == nil) != tt.fresh {
			t.Errorf("%s: a token of the new key: got %v", tt.name, err)
		}
		data, stale, err := tt.ring.open("p", sealedOld)
		if (err == nil) != tt.old || (err == nil && string(data) != "data") || stale != tt.staleOld {
			t.Errorf("%s: a seal of the old key: got %q, stale %v, %v", tt.name, data, stale, err)
		}
		if _, _, err := tt.ring.open("p", sealedFresh); (err == nil) != tt.fresh {
			t.Errorf("%s: a seal of the new key: got %v", tt.name, err)
		}
	}
}

func TestMasterKeysThatShareAnIDWorkBesideEachOther(t *testing.T) {
	t.Parallel()
	a, b := colliding(t)
	alone, both := newRing(t, a), newRing(t, b, a)
	if both.keys[0].id != both.keys[1].id {
		t.Fatal("the ids do not collide")
	}
	old, fresh := firstToken(NewSessionID("u")), firstToken(NewSessionID("u"))
	if got, err := both.parse(alone.mint(old)); err != nil || got != old {
		t.Errorf("a token of the second key: got %v", err)
	}
	if got, err := both.parse(both.mint(fresh)); err != nil || got != fresh {
		t.Errorf("a token of the first key: got %v", err)
	}
	if _, err := alone.parse(both.mint(fresh)); !errors.Is(err, ErrTokenMalformed) {
		t.Errorf("a token of the other key with the same id: got %v, want malformed", err)
	}
	if data, stale, err := both.open("p", alone.seal("p", []byte("data"))); err != nil || string(data) != "data" || !stale {
		t.Errorf("a seal of the second key: got %q, stale %v, %v", data, stale, err)
	}
	if _, stale, err := both.open("p", both.seal("p", []byte("data"))); err != nil || stale {
		t.Errorf("a seal of the first key: got stale %v, %v", stale, err)
	}
	if _, _, err := alone.open("p", both.seal("p", []byte("data"))); !errors.Is(err, errUnsealable) {
		t.Errorf("a seal of the other key with the same id: got %v, want a refusal", err)
	}
}

func TestASealHoldsForItsPurposeOnly(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewMasterKey())
	sealed := ring.seal("signing key a", []byte("data"))
	for _, purpose := range []string{"signing key b", "signing key ", "", "signing key a ", "SIGNING KEY A"} {
		if _, _, err := ring.open(purpose, sealed); !errors.Is(err, errUnsealable) {
			t.Errorf("opened for %q: got %v, want a refusal", purpose, err)
		}
	}
	if data, stale, err := ring.open("signing key a", sealed); err != nil || stale || string(data) != "data" {
		t.Errorf("got %q, %v, %v, want the data", data, stale, err)
	}
	if bytes.Contains(sealed, []byte("data")) {
		t.Error("the seal shows what it holds")
	}
	if bytes.Equal(sealed, ring.seal("signing key a", []byte("data"))) {
		t.Error("the same data sealed twice looks the same")
	}
}

func TestABrokenSealIsRefused(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewMasterKey(), NewMasterKey())
	sealed := ring.seal("p", []byte("some data"))
	for i := range sealed {
		for bit := range 8 {
			broken := bytes.Clone(sealed)
			broken[i] ^= 1 << bit
			if _, _, err := ring.open("p", broken); !errors.Is(err, errUnsealable) {
				t.Errorf("bit %d of byte %d flipped: got %v, want a refusal", bit, i, err)
			}
		}
	}
	for n := range len(sealed) {
		if _, _, err := ring.open("p", sealed[:n]); !errors.Is(err, errUnsealable) {
			t.Errorf("cut to %d bytes: got %v, want a refusal", n, err)
		}
	}
	for _, extended := range [][]byte{append(bytes.Clone(sealed), 0), nil} {
		if _, _, err := ring.open("p", extended); !errors.Is(err, errUnsealable) {
			t.Errorf("%d bytes: got %v, want a refusal", len(extended), err)
		}
	}
}
