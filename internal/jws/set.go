package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

const (
	// MaxSet is the length of the longest key set that is parsed.
	MaxSet = 256 << 10
	// maxKeys is how many keys a set may have, usable or not.
	maxKeys = 128
)

// Key is a public key with its name and its algorithm.
type Key struct {
	ID        string
	Algorithm string
	Public    crypto.PublicKey
}

// jwk has the members of RFC 7517 section 4 and RFC 7518 section 6 that we
// write and read. There is no field for a private member, so none can be.
type jwk struct {
	Type      string   `json:"kty"`
	Curve     string   `json:"crv,omitempty"`
	X         string   `json:"x,omitempty"`
	Y         string   `json:"y,omitempty"`
	N         string   `json:"n,omitempty"`
	E         string   `json:"e,omitempty"`
	KeyID     string   `json:"kid"`
	Use       string   `json:"use"`
	Algorithm string   `json:"alg"`
	ops       []string // key_ops, only read
}

// MarshalSet writes a key set (RFC 7517 section 5). Every key needs an id and
// its own algorithm.
func MarshalSet(keys []Key) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{make([]jwk, 0, len(keys))}
	for _, k := range keys {
		j, err := newJWK(k.Public)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		if k.ID == "" || k.Algorithm != j.Algorithm {
			return nil, fmt.Errorf("key %q: %w: no id, or not a key for %s", k.ID, ErrKey, k.Algorithm)
		}
		j.KeyID, j.Use = k.ID, "sig"
		set.Keys = append(set.Keys, j)
	}
	return json.Marshal(set)
}

// ParseSet reads a key set and returns the keys that we can check signatures
// with. As RFC 7517 section 5 asks, keys of unknown kinds are passed over; so
// are keys for encryption, keys that are no keys, and keys without an id. An id
// that two usable keys share names neither, because it says nothing.
func ParseSet(data []byte) ([]Key, error) {
	if len(data) > MaxSet {
		return nil, ErrMalformed
	}
	members, err := Members(data)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.Name == "keys" })
	if i < 0 {
		return nil, ErrMalformed
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(members[i].Value, &raw); err != nil || raw == nil || len(raw) > maxKeys {
		return nil, ErrMalformed
	}
	var keys []Key
	uses := map[string]int{}
	for _, r := range raw {
		if k, ok := parseKey(r); ok {
			keys = append(keys, k)
			uses[k.ID]++
		}
	}
	return slices.DeleteFunc(keys, func(k Key) bool { return uses[k.ID] > 1 }), nil
}

// parseKey reads one key. ok is false for any that we cannot or may not use.
func parseKey(raw []byte) (k Key, ok bool) {
	j, ok := readJWK(raw)
	if !ok || j.KeyID == "" || len(j.KeyID) > MaxKeyID {
		return Key{}, false
	}
	if j.Use != "" && j.Use != "sig" {
		return Key{}, false
	}
	if j.ops != nil && !slices.Contains(j.ops, "verify") {
		return Key{}, false
	}
	pub, ok := j.public()
	if !ok {
		return Key{}, false
	}
	// alg is optional, and for our three kinds of keys there is only one. When
	// it is given it has to be that one.
	alg, err := Algorithm(pub)
	if err != nil || (j.Algorithm != "" && j.Algorithm != alg) {
		return Key{}, false
	}
	return Key{ID: j.KeyID, Algorithm: alg, Public: pub}, true
}

// private are the members of RFC 7518 section 6 that must not leave their owner.
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParsePublic reads one public key that somebody sent, with or without an id.
// One with a private member is refused: whoever sends that has lost it.
func ParsePublic(raw []byte) (Key, error) {
	members, err := Members(raw)
	if err != nil {
		return Key{}, err
	}
	for _, m := range members {
		if slices.Contains(private, m.Name) {
			return Key{}, ErrKey
		}
	}
	j, ok := readJWK(raw)
	if !ok {
		return Key{}, ErrKey
	}
	pub, ok := j.public()
	if !ok {
		return Key{}, ErrKey
	}
	alg, err := Algorithm(pub)
	if err != nil || (j.Algorithm != "" && j.Algorithm != alg) || (j.Use != "" && j.Use != "sig") {
		return Key{}, ErrKey
	}
	return Key{ID: j.KeyID, Algorithm: alg, Public: pub}, nil
}

// MarshalPublic writes what ParsePublic reads.
func MarshalPublic(pub crypto.PublicKey) ([]byte, error) {
	j, err := newJWK(pub)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type  string `json:"kty"`
		Curve string `json:"crv,omitempty"`
		X     string `json:"x,omitempty"`
		Y     string `json:"y,omitempty"`
		N     string `json:"n,omitempty"`
		E     string `json:"e,omitempty"`
	}{j.Type, j.Curve, j.X, j.Y, j.N, j.E})
}

func readJWK(raw []byte) (j jwk, ok bool) {
	members, err := Members(raw)
	if err != nil {
		return jwk{}, false
	}
	fields := map[string]*string{
		"kty": &j.Type, "crv": &j.Curve, "x": &j.X, "y": &j.Y, "n": &j.N, "e": &j.E,
		"kid": &j.KeyID, "use": &j.Use, "alg": &j.Algorithm,
	}
	for _, m := range members {
		if m.Name == "key_ops" {
			if json.Unmarshal(m.Value, &j.ops) != nil || j.ops == nil {
				return jwk{}, false
			}
		} else if field := fields[m.Name]; field != nil {
			if *field, ok = m.Text(); !ok {
				return jwk{}, false
			}
		}
	}
	return j, true
}

// public returns the key itself. Its size is for Algorithm to judge.
func (j jwk) public() (crypto.PublicKey, bool) {
	switch {
	case j.Type == "EC" && j.Curve == "P-256":
		x, okX := decode(j.X, 32)
		y, okY := decode(j.Y, 32)
		if !okX || !okY {
			return nil, false
		}
		// This refuses points that are not on the curve, with which an
		// implementation could be tricked.
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		return pub, err == nil
	case j.Type == "OKP" && j.Curve == "Ed25519":
		x, ok := decode(j.X, ed25519.PublicKeySize)
		return ed25519.PublicKey(x), ok
	case j.Type == "RSA":
		n, okN := decode(j.N, 0)
		e, okE := decode(j.E, 0)
		if !okN || !okE || len(e) > 4 {
			return nil, false
		}
		exponent := new(big.Int).SetBytes(e).Int64()
		if exponent > 1<<31-1 {
			return nil, false
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, true
	}
	return nil, false
}

// decode decodes base64url of exactly size bytes, or of any size if it is 0.
func decode(s string, size int) ([]byte, bool) {
	b, err := encoding.DecodeString(s)
	return b, err == nil && len(b) > 0 && (size == 0 || len(b) == size)
}
