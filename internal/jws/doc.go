// Package jws signs and checks compact JSON Web Signatures (RFC 7515) and reads
// and writes the public keys they are checked with (RFC 7517), on the standard
// library's crypto alone.
//
// It decides whether a string is a well-formed token, whether a key made its
// signature, and which algorithm a key is for: ES256, EdDSA over Ed25519, or
// RS256. A key is for exactly one of them, so a token cannot talk anybody into
// using it with another.
//
// It never looks at claims, clocks or audiences, never finds a key by itself
// and never follows what a token's header says about keys (jku, jwk, x5u, x5c):
// the caller brings algorithm and key.
//
// The root package, package verify and the packages that speak OAuth may import
// it. It imports nothing of ours.
package jws
