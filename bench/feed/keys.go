//go:build linux

package main

import (
	"context"
	"crypto"
	"sync"

	"github.com/bitjang/bitjang/internal/jws"
	"github.com/bitjang/bitjang/verify"
)

// ownSigner signs the tokens of the run: the node's key is not ours to have.
var ownSigner = sync.OnceValue(func() crypto.Signer {
	key, err := jws.Generate(jws.ES256)
	if err != nil {
		panic(err)
	}
	return key
})

var ownKey = sync.OnceValue(func() *verify.Key {
	return &verify.Key{ID: "own", Algorithm: jws.ES256, Public: ownSigner().Public()}
})

// ownKeys is where the verifiers find it.
type ownKeys struct{}

func (ownKeys) Key(context.Context, string) (*verify.Key, error) { return ownKey(), nil }
