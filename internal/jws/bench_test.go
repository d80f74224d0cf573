package jws

import (
	"strings"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	payload := []byte(strings.Repeat("x", 480))
	for _, alg := range []string{ES256, EdDSA, RS256} {
		b.Run(alg, func(b *testing.B) {
			key := testKeys()[alg]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(Header{Alg: alg, Typ: "at+jwt", Kid: strings.Repeat("k", 43)}, payload, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseVerify(b *testing.B) {
	payload := []byte(strings.Repeat("x", 480))
	for _, alg := range []string{ES256, EdDSA, RS256} {
		b.Run(alg, func(b *testing.B) {
			key := testKeys()[alg]
			token, err := Sign(Header{Alg: alg, Typ: "at+jwt", Kid: strings.Repeat("k", 43)}, payload, key)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				tok, err := Parse(token)
				if err == nil {
					err = tok.Verify(alg, key.Public())
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
