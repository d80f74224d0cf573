package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// The algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
	RS256 = "RS256"
)

const (
	// MaxToken is the length of the longest token that is signed or parsed. It
	// fits the 8 KiB that common proxies allow for all headers together.
	MaxToken = 8 << 10
	// MaxKeyID is the length of the longest key id that is looked at.
	MaxKeyID = 256
)

// What can be wrong. The texts never contain a part of a token or key.
var (
	ErrMalformed = errors.New("jws: malformed")
	ErrAlgorithm = errors.New("jws: algorithm not supported or not the expected one")
	ErrKey       = errors.New("jws: key does not fit")
	ErrSignature = errors.New("jws: signature is not valid")
)

// encoding is base64url as RFC 7515 section 2 wants it. Strict refuses set bits
// behind the last byte, so that no two texts mean the same token.
var encoding = base64.RawURLEncoding.Strict()

// Header is what we write into and read from a protected header.
type Header struct {
	Alg string
	Typ string // may be empty
	Kid string // may be empty
	// JWK is the key that the token brings along, as it stood there. It proves nothing about whose it is: only DPoP proofs look at it.
	JWK string
}

// Token is a parsed token whose signature nobody has checked yet: its payload
// is a stranger's word until Verify returns nil.
type Token struct {
	Header  Header
	Payload []byte

	signed    string
	signature []byte
}

// Sign returns the token with this header and payload. The key's type has to be
// the algorithm's.
func Sign(h Header, payload []byte, key crypto.Signer) (string, error) {
	if key == nil {
		return "", ErrKey
	}
	if alg, err := Algorithm(key.Public()); err != nil {
		return "", err
	} else if alg != h.Alg {
		return "", fmt.Errorf("%w: a key for %s cannot sign %q", ErrAlgorithm, alg, h.Alg)
	}
	// One buffer from here to the finished token: with ES256 the signature is
	// all that costs anything.
	buf := make([]byte, 0, 1536)
	var err error
	if buf, err = appendHeader(buf, h); err != nil {
		return "", err
	}
	buf = append(buf, '.')
	buf = encoding.AppendEncode(buf, payload)
	var space [64]byte
	sig, err := sign(space[:], h.Alg, buf, key)
	if err != nil {
		return "", err
	}
	buf = append(buf, '.')
	buf = encoding.AppendEncode(buf, sig)
	if len(buf) > MaxToken {
		return "", fmt.Errorf("%w: the token would be %d bytes long", ErrMalformed, len(buf))
	}
	return string(buf), nil
}

// SignText returns the signature alone, for tokens whose header Sign does not
// write. The key's type has to be the algorithm's.
func SignText(alg, text string, key crypto.Signer) ([]byte, error) {
	if own, err := Algorithm(key.Public()); err != nil || own != alg {
		return nil, ErrAlgorithm
	}
	var space [64]byte
	return sign(space[:], alg, []byte(text), key)
}

// appendHeader writes the header by hand. It refuses values that would need
// escaping instead of escaping them: no algorithm, type or key id of ours does.
func appendHeader(dst []byte, h Header) ([]byte, error) {
	var space [MaxKeyID]byte
	raw := append(space[:0], `{"alg":"`...)
	raw = append(raw, h.Alg...)
	for _, m := range [...]struct{ name, value string }{{"typ", h.Typ}, {"kid", h.Kid}} {
		if m.value == "" {
			continue
		}
		if len(m.value) > MaxKeyID || !isPlain(m.value) {
			return nil, fmt.Errorf("%w: the header's %s is too long or needs escaping", ErrMalformed, m.name)
		}
		raw = append(raw, `","`...)
		raw = append(raw, m.name...)
		raw = append(raw, `":"`...)
		raw = append(raw, m.value...)
	}
	raw = append(raw, '"')
	if h.JWK != "" {
		raw = append(append(raw, `,"jwk":`...), h.JWK...)
	}
	raw = append(raw, '}')
	return encoding.AppendEncode(dst, raw), nil
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// sign returns the signature over data as RFC 7518 section 3 encodes it, in
// space if it is an ES256 one.
func sign(space []byte, alg string, data []byte, key crypto.Signer) ([]byte, error) {
	if alg == EdDSA {
		sig, err := key.Sign(rand.Reader, data, crypto.Hash(0))
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		return sig, nil
	}
	digest := sha256.Sum256(data)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if alg == RS256 {
		return sig, nil
	}
	// A crypto.Signer answers in ASN.1, wherever the key lives; JWS wants the
	// two numbers side by side in 32 bytes each.
	sig, ok := fixedWidth(space[:0], sig)
	if !ok {
		return nil, fmt.Errorf("sign: %w", ErrSignature)
	}
	return sig, nil
}

// fixedWidth appends r and s of an ASN.1 signature over P-256, padded to 32
// bytes each. Such a signature is shorter than 128 bytes, so every length in it
// is one byte.
func fixedWidth(dst, der []byte) ([]byte, bool) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, false
	}
	der = der[2:]
	for range 2 {
		if len(der) < 2 || der[0] != 0x02 || int(der[1]) > len(der)-2 {
			return nil, false
		}
		n := der[2 : 2+int(der[1])]
		der = der[2+len(n):]
		if len(n) == 33 && n[0] == 0 {
			n = n[1:] // only there to keep the number positive
		}
		if len(n) > 32 {
			return nil, false
		}
		for range 32 - len(n) {
			dst = append(dst, 0)
		}
		dst = append(dst, n...)
	}
	return dst, len(der) == 0
}

// Parse takes a token apart. It is strict where a lenient parser would let two
// texts mean one token: exactly three parts, unpadded canonical base64url, a
// JSON header without repeated names. A header that demands understanding of
// something (crit, b64) is refused, because we understand nothing optional.
func Parse(token string) (Token, error) {
	// The base64 decoder skips line breaks, so they are looked for here.
	if len(token) > MaxToken || strings.ContainsAny(token, "\r\n") {
		return Token{}, ErrMalformed
	}
	header, rest, ok := strings.Cut(token, ".")
	if !ok {
		return Token{}, ErrMalformed
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return Token{}, ErrMalformed
	}
	// A third dot ends up in the signature and is no base64url character.
	t := Token{signed: token[:len(header)+1+len(payload)]}
	raw, err := encoding.DecodeString(header)
	if err != nil {
		return Token{}, ErrMalformed
	}
	if t.Payload, err = encoding.DecodeString(payload); err != nil {
		return Token{}, ErrMalformed
	}
	if t.signature, err = encoding.DecodeString(signature); err != nil {
		return Token{}, ErrMalformed
	}
	if t.Header, err = parseHeader(raw); err != nil {
		return Token{}, err
	}
	return t, nil
}

func parseHeader(raw []byte) (Header, error) {
	members, err := Members(raw)
	if err != nil {
		return Header{}, err
	}
	var h Header
	for _, m := range members {
		ok := true
		switch m.Name {
		case "alg":
			h.Alg, ok = m.Text()
		case "typ":
			h.Typ, ok = m.Text()
		case "kid":
			h.Kid, ok = m.Text()
		case "jwk":
			h.JWK = string(m.Value)
		case "crit", "b64":
			ok = false
		}
		if !ok {
			return Header{}, ErrMalformed
		}
	}
	if h.Alg == "" || len(h.Kid) > MaxKeyID {
		return Header{}, ErrMalformed
	}
	return h, nil
}

// Verify checks the signature. The caller says which algorithm it expects; what
// the header says has to agree with it and with the key's type, and chooses
// nothing.
func (t Token) Verify(alg string, pub crypto.PublicKey) error {
	if t.Header.Alg != alg {
		return ErrAlgorithm
	}
	if own, err := Algorithm(pub); err != nil {
		return err
	} else if own != alg {
		return ErrKey
	}
	var valid bool
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		valid = verifyECDSA(k, t.signed, t.signature)
	case ed25519.PublicKey:
		valid = ed25519.Verify(k, []byte(t.signed), t.signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(t.signed))
		valid = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], t.signature) == nil
	}
	if !valid {
		return ErrSignature
	}
	return nil
}

func verifyECDSA(pub *ecdsa.PublicKey, signed string, sig []byte) bool {
	// RFC 7518 section 3.4: 64 octets, not 63 because a number began with zero.
	if len(sig) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(signed))
	// ecdsa.Verify is false unless r and s are within 1 and the group's order
	// less one. The tests hold it to that with Wycheproof's "psychic" signatures.
	return ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}
