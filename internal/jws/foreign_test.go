package jws

import (
	"crypto"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// go-jose stands for everybody else's implementation.

func TestGoJoseAcceptsOurTokensUnderOurKeySet(t *testing.T) {
	t.Parallel()
	raw, err := MarshalSet(testSet(t))
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	for alg, key := range testKeys() {
		token, err := Sign(Header{Alg: alg, Typ: "at+jwt", Kid: "kid-" + alg}, []byte("payload"), key)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		got, err := sig.Verify(set)
		if err != nil || string(got) != "payload" {
			t.Errorf("%s: got %q, %v, want the payload", alg, got, err)
		}
		if typ := sig.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "at+jwt" {
			t.Errorf("%s: got typ %v, want at+jwt", alg, typ)
		}
	}
}

func TestWeAcceptTokensAndKeysOfGoJose(t *testing.T) {
	t.Parallel()
	for alg, key := range testKeys() {
		opts := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k")
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, opts)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signer.Sign([]byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := sig.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: alg, Use: "sig"}}})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := ParseSet(raw)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%s: got %v, %v, want one key", alg, keys, err)
		}
		tok, err := Parse(token)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if want := (Header{Alg: alg, Typ: "at+jwt", Kid: "k"}); tok.Header != want || string(tok.Payload) != "payload" {
			t.Errorf("got %+v and %q, want %+v and the payload", tok.Header, tok.Payload, want)
		}
		if err := tok.Verify(keys[0].Algorithm, keys[0].Public); err != nil {
			t.Errorf("%s: got %v, want a valid signature", alg, err)
		}
	}
}

func TestGoJoseAgreesOnThumbprints(t *testing.T) {
	t.Parallel()
	for alg, key := range testKeys() {
		sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		want := encoding.EncodeToString(sum)
		if got, err := Thumbprint(key.Public()); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", alg, got, err, want)
		}
	}
}
