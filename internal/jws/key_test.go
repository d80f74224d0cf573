package jws

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPrivateKeySurvivesItsEncoding(t *testing.T) {
	t.Parallel()
	for alg, key := range testKeys() {
		raw, err := MarshalPrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePrivate(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !got.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%s: got another key than the one encoded", alg)
		}
	}
	if got := testKeys()[RS256].Public().(*rsa.PublicKey).N.BitLen(); got != 3072 {
		t.Errorf("got an RSA key of %d bits, want 3072", got)
	}
}

func TestPrivateKeysOfOtherKindsAreRefused(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"P-384": p384, "RSA of 1024 bits": rsa1024, "X25519": x25519} {
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePrivate(raw); !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %v, want %v", name, err, ErrKey)
		}
		if signer, ok := key.(crypto.Signer); ok {
			if _, err := MarshalPrivate(signer); !errors.Is(err, ErrKey) {
				t.Errorf("%s: got %v, want %v", name, err, ErrKey)
			}
		}
	}
	if _, err := MarshalPrivate(nil); !errors.Is(err, ErrKey) {
		t.Errorf("no key: got %v, want %v", err, ErrKey)
	}
	if _, err := ParsePrivate([]byte("no key")); err == nil {
		t.Error("nonsense: got no error")
	}
	if _, err := Generate("HS256"); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("HS256: got %v, want %v", err, ErrAlgorithm)
	}
	if _, err := Thumbprint(p384.Public()); !errors.Is(err, ErrKey) {
		t.Errorf("thumbprint of a foreign key: got %v, want %v", err, ErrKey)
	}
}

func TestRSAKeysThatCannotBeSoundAreRefused(t *testing.T) {
	t.Parallel()
	good := testKeys()[RS256].Public().(*rsa.PublicKey)
	bits := func(n uint) *big.Int { return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), n-1), big.NewInt(1)) }
	tests := []struct {
		name string
		key  *rsa.PublicKey
		ok   bool
	}{
		{"a generated one is taken", good, true},
		{"2048 bits are taken", &rsa.PublicKey{N: bits(2048), E: 3}, true},
		{"2047 bits", &rsa.PublicKey{N: bits(2047), E: 3}, false},
		{"8192 bits are taken", &rsa.PublicKey{N: bits(8192), E: 3}, true},
		{"8193 bits", &rsa.PublicKey{N: bits(8193), E: 3}, false},
		{"an even modulus", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 3}, false},
		{"no modulus", &rsa.PublicKey{E: 3}, false},
		{"exponent 1", &rsa.PublicKey{N: good.N, E: 1}, false},
		{"exponent 0", &rsa.PublicKey{N: good.N}, false},
		{"an even exponent", &rsa.PublicKey{N: good.N, E: 65536}, false},
		{"a negative exponent", &rsa.PublicKey{N: good.N, E: -3}, false},
		{"nil", nil, false},
	}
	for _, tt := range tests {
		if got, err := Algorithm(tt.key); (err == nil) != tt.ok || tt.ok && got != RS256 {
			t.Errorf("%s: got %q, %v, want ok %v", tt.name, got, err, tt.ok)
		}
	}
}

func testSet(t *testing.T) []Key {
	t.Helper()
	var keys []Key
	for _, alg := range []string{ES256, EdDSA, RS256} {
		keys = append(keys, Key{"kid-" + alg, alg, testKeys()[alg].Public()})
	}
	return keys
}

func TestASetReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := testSet(t)
	raw, err := MarshalSet(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSet(raw)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b crypto.PublicKey) bool {
		return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
	})
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Public" }, same)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	empty, err := MarshalSet(nil)
	if err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("got %s, %v, want an empty list", empty, err)
	}
}

func TestAMarshalledKeyHasPublicMembersOnly(t *testing.T) {
	t.Parallel()
	raw, err := MarshalSet(testSet(t))
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	want := []string{"kty crv x y kid use alg", "kty crv x kid use alg", "kty n e kid use alg"}
	for i, key := range set.Keys {
		names := strings.Fields(want[i])
		if len(key) != len(names) || key["use"] != "sig" {
			t.Errorf("got %v, want %v with use sig", key, names)
		}
		for _, name := range names {
			if key[name] == "" {
				t.Errorf("got %v, want a member %s", key, name)
			}
		}
	}
}

func TestMarshalSetRefusesKeysThatNobodyCouldUse(t *testing.T) {
	t.Parallel()
	es := testKeys()[ES256].Public()
	for name, k := range map[string]Key{
		"no id": {"", ES256, es}, "another algorithm": {"k", RS256, es}, "no algorithm": {"k", "", es},
		"no key": {"k", ES256, nil}, "a private key": {"k", ES256, testKeys()[ES256]},
	} {
		if got, err := MarshalSet([]Key{k}); !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %s, %v, want %v", name, got, err, ErrKey)
		}
	}
}

const (
	rfcX  = `f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU`
	rfcY  = `x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0`
	rfcEC = `"kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcY + `"`
	rfcN  = `ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ`
	rfcED = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
)

func TestParseSetTakesTheKeysItCanUse(t *testing.T) {
	t.Parallel()
	rsaKey := func(n, e string) string { return fmt.Sprintf(`{"kid":"k","kty":"RSA","n":%q,"e":%q}`, n, e) }
	x, errX := encoding.DecodeString(rfcX)
	y, errY := encoding.DecodeString(rfcY)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	point := append(x, y...)
	tests := []struct{ name, key, want string }{
		{"a key without alg is for the only algorithm there is", `{"kid":"k",` + rfcEC + `}`, ES256},
		{"use, alg and key_ops that fit", `{"kid":"k","use":"sig","alg":"ES256","key_ops":["verify"],` + rfcEC + `}`, ES256},
		{"Ed25519", `{"kid":"k","alg":"EdDSA",` + rfcED + `}`, EdDSA},
		{"RSA", rsaKey(rfcN, "AQAB"), RS256},
		{"private and unknown members are passed over", `{"kid":"k","d":"AAAA","x5c":["AA"],"nbf":1,` + rfcEC + `}`, ES256},

		{"a key without kid", `{` + rfcEC + `}`, ""},
		{"a kid that is empty", `{"kid":"",` + rfcEC + `}`, ""},
		{"a kid that is a number", `{"kid":1,` + rfcEC + `}`, ""},
		{"a kid that is too long", `{"kid":"` + strings.Repeat("k", MaxKeyID+1) + `",` + rfcEC + `}`, ""},
		{"use enc", `{"kid":"k","use":"enc",` + rfcEC + `}`, ""},
		{"key_ops without verify", `{"kid":"k","key_ops":["sign"],` + rfcEC + `}`, ""},
		{"key_ops that is empty", `{"kid":"k","key_ops":[],` + rfcEC + `}`, ""},
		{"key_ops that is null", `{"kid":"k","key_ops":null,` + rfcEC + `}`, ""},
		{"an alg that is not the key's", `{"kid":"k","alg":"RS256",` + rfcEC + `}`, ""},
		{"an alg that we lack", `{"alg":"PS256",` + rsaKey(rfcN, "AQAB")[1:], ""},
		{"a symmetric key", `{"kid":"k","kty":"oct","k":"AAAA"}`, ""},
		{"an unknown kty", `{"kid":"k","kty":"AKP","pub":"AAAA"}`, ""},
		{"an unknown curve", `{"kid":"k","kty":"EC","crv":"P-384","x":"AA","y":"AA"}`, ""},
		{"an Ed25519 curve on an EC key", `{"kid":"k","kty":"EC","crv":"Ed25519","x":"` + rfcX + `"}`, ""},
		{"a member twice", `{"kid":"k","kid":"k",` + rfcEC + `}`, ""},
		{"a point off the curve", `{"kid":"k","kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcX + `"}`, ""},
		{"a coordinate that is too short", `{"kid":"k","kty":"EC","crv":"P-256","x":"` + b64(strings.Repeat("x", 31)) + `","y":"` + rfcY + `"}`, ""},
		{"coordinates cut at another place", `{"kid":"k","kty":"EC","crv":"P-256","x":"` + encoding.EncodeToString(point[:31]) + `","y":"` + encoding.EncodeToString(point[31:]) + `"}`, ""},
		{"no y", `{"kid":"k","kty":"EC","crv":"P-256","x":"` + rfcX + `"}`, ""},
		{"a key for key agreement", `{"kid":"k","kty":"OKP","crv":"X25519","x":"` + rfcX + `"}`, ""},
		{"an Ed25519 key that is too short", `{"kid":"k","kty":"OKP","crv":"Ed25519","x":"AAAA"}`, ""},
		{"base64 with padding", `{"kid":"k","kty":"OKP","crv":"Ed25519","x":"` + rfcX + `="}`, ""},
		{"RSA of few bits", rsaKey(strings.Repeat("_", 168), "AQAB"), ""},
		{"RSA of very many bits", rsaKey(strings.Repeat("_", 4*8192/8), "AQAB"), ""},
		{"RSA with exponent 1", rsaKey(rfcN, "AQ"), ""},
		{"RSA with an exponent beyond 31 bits", rsaKey(rfcN, "_____w"), ""},
		{"RSA with an exponent beyond 64 bits", rsaKey(rfcN, "AQAAAAAAAAAD"), ""},
		{"RSA without exponent", rsaKey(rfcN, ""), ""},
		{"no object", `"key"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSet([]byte(`{"keys":[{"kid":"other",` + rfcED + `},` + tt.key + `]}`))
			if err != nil || len(got) == 0 || got[0].ID != "other" {
				t.Fatalf("got %v, %v, want the key beside it unharmed", got, err)
			}
			alg := ""
			if len(got) == 2 {
				alg = got[1].Algorithm
			}
			if alg != tt.want {
				t.Errorf("got a key for %q, want %q", alg, tt.want)
			}
		})
	}
}

func TestAnIDSharedByTwoKeysNamesNeither(t *testing.T) {
	t.Parallel()
	got, err := ParseSet([]byte(`{"keys":[{"kid":"a",` + rfcEC + `},{"kid":"b",` + rfcED + `},{"kid":"a",` + rfcED + `}]}`))
	if err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("got %v, %v, want b alone", got, err)
	}
}

func TestParseSetRefusesWhatIsNoSet(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "<html>", "a list": "[]", "no keys": "{}", "keys that are null": `{"keys":null}`,
		"keys that are an object": `{"keys":{}}`, "keys twice": `{"keys":[],"keys":[]}`, "Keys": `{"Keys":[]}`,
		"too many keys": `{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`,
		"too long":      `{"keys":[` + strings.Repeat(" ", MaxSet) + `]}`,
	} {
		if got, err := ParseSet([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, ErrMalformed)
		}
	}
}

func TestAlgorithmKnowsOnlyItsThreeKindsOfKeys(t *testing.T) {
	t.Parallel()
	for _, pub := range []crypto.PublicKey{nil, "key", []byte("secret"), ed25519.PublicKey(nil), &ecdsa.PublicKey{}, &rsa.PublicKey{}} {
		if got, err := Algorithm(pub); !errors.Is(err, ErrKey) {
			t.Errorf("%T: got %q, %v, want %v", pub, got, err, ErrKey)
		}
	}
}
