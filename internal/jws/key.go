package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
)

const (
	// rsaBits is the size of the RSA keys that we make: 128 bits of security.
	rsaBits = 3072
	// minRSABits is what RFC 7518 section 3.3 demands of anybody's.
	minRSABits = 2048
	// maxRSABits keeps one verification from costing as much as a thousand.
	maxRSABits = 8192
)

// Algorithm returns the one algorithm that a public key is for. This is the
// only place that judges keys: whatever signs, verifies or parses asks here.
func Algorithm(pub crypto.PublicKey) (string, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return ES256, nil
		}
	case ed25519.PublicKey:
		// ed25519.Verify panics on any other length.
		if len(k) == ed25519.PublicKeySize {
			return EdDSA, nil
		}
	case *rsa.PublicKey:
		if k != nil && k.N != nil && soundRSA(k) {
			return RS256, nil
		}
	}
	return "", ErrKey
}

// soundRSA bounds the modulus, and refuses exponents that make a signature of
// every number (1) or none at all (even ones).
func soundRSA(k *rsa.PublicKey) bool {
	bits := k.N.BitLen()
	return bits >= minRSABits && bits <= maxRSABits && k.N.Bit(0) == 1 && k.E >= 3 && k.E%2 == 1
}

// Generate makes a new key for the algorithm.
func Generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("%w: %q", ErrAlgorithm, alg)
}

// MarshalPrivate encodes a private key as PKCS #8. The bytes are the key in the
// clear: seal them before they go anywhere.
func MarshalPrivate(key crypto.Signer) ([]byte, error) {
	if key == nil {
		return nil, ErrKey
	}
	if _, err := Algorithm(key.Public()); err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// ParsePrivate reads what MarshalPrivate wrote. Keys of other kinds or too small
// ones are ErrKey.
func ParsePrivate(pkcs8 []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		// x509's text is dropped: what it says about a private key is for nobody.
		return nil, errors.New("jws: not a PKCS #8 private key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrKey
	}
	if _, err := Algorithm(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// Thumbprint returns the key's SHA-256 thumbprint (RFC 7638), our key ids.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	k, err := newJWK(pub)
	if err != nil {
		return "", err
	}
	// Section 3.2: the required members only, in the order of their names,
	// without spaces. None of these values needs escaping.
	var text string
	switch k.Type {
	case "EC":
		text = `{"crv":"` + k.Curve + `","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	case "OKP":
		text = `{"crv":"` + k.Curve + `","kty":"OKP","x":"` + k.X + `"}`
	case "RSA":
		text = `{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`
	}
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:]), nil
}

// newJWK returns the public members of a key that we can use.
func newJWK(pub crypto.PublicKey) (jwk, error) {
	alg, err := Algorithm(pub)
	if err != nil {
		return jwk{}, err
	}
	j := jwk{Algorithm: alg}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			return jwk{}, ErrKey
		}
		j.Type, j.Curve = "EC", "P-256"
		j.X, j.Y = encoding.EncodeToString(point[1:33]), encoding.EncodeToString(point[33:])
	case ed25519.PublicKey:
		j.Type, j.Curve, j.X = "OKP", "Ed25519", encoding.EncodeToString(k)
	case *rsa.PublicKey:
		j.Type = "RSA"
		j.N = encoding.EncodeToString(k.N.Bytes())
		j.E = encoding.EncodeToString(big.NewInt(int64(k.E)).Bytes())
	}
	return j, nil
}
