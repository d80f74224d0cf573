package bitjang

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

const masterKeyBytes = 32

// NewMasterKey makes a random master key, as 64 hexadecimal digits.
func NewMasterKey() Secret {
	raw := make([]byte, masterKeyBytes)
	rand.Read(raw)
	return NewSecret(hex.EncodeToString(raw))
}

// ringKey is everything that derives from one master key.
type ringKey struct {
	id      byte
	refresh []byte      // MAC key of refresh tokens
	nonce   []byte      // MAC key of nonces
	seal    cipher.AEAD // for what the store keeps for us
	audit   []byte      // MAC key of the audit trail
}

// keyRing holds the keys of every master key given, newest first: the first
// makes, all check. That is how a master key is replaced.
type keyRing struct{ keys []ringKey }

func newKeyRing(masters []Secret) (*keyRing, error) {
	if len(masters) == 0 {
		return nil, errors.New("at least one master key is needed")
	}
	ring := &keyRing{}
	for _, m := range masters {
		raw, err := decodeMasterKey(m.Reveal())
		if err != nil {
			return nil, err
		}
		key, err := deriveKeys(raw)
		if err != nil {
			return nil, err
		}
		ring.keys = append(ring.keys, key)
	}
	return ring, nil
}

func decodeMasterKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	decoders := []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	}
	for _, decode := range decoders {
		if raw, err := decode(text); err == nil && len(raw) == masterKeyBytes {
			return raw, nil
		}
	}
	return nil, errors.New("a master key is 32 bytes, written as 64 hexadecimal digits or in base64")
}

func deriveKeys(master []byte) (ringKey, error) {
	derive := func(purpose string, n int) []byte {
		out, err := hkdf.Key(sha256.New, master, nil, "bitjang v1 "+purpose, n)
		if err != nil {
			panic(err) // only for lengths beyond 255 hashes, which we never ask for
		}
		return out
	}
	block, err := aes.NewCipher(derive("seal", 32))
	if err != nil {
		return ringKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return ringKey{}, err
	}
	return ringKey{
		id: derive("key id", 1)[0], refresh: derive("refresh token mac", 32), nonce: derive("dpop nonce mac", 32), seal: aead,
		audit: derive("audit trail mac", 32),
	}, nil
}

// seal encrypts data for the store. The purpose is bound to it, so that a
// sealed value cannot be moved to another place.
func (r *keyRing) seal(purpose string, data []byte) []byte {
	key := r.keys[0]
	return key.seal.Seal([]byte{key.id}, nil, data, []byte(purpose))
}

var errUnsealable = errors.New("sealed under a master key that is not in the ring")

// open decrypts what seal made. stale says that it was sealed under an older
// key and should be sealed again.
func (r *keyRing) open(purpose string, sealed []byte) (data []byte, stale bool, err error) {
	if len(sealed) == 0 {
		return nil, false, errUnsealable
	}
	for i, key := range r.keys {
		if key.id != sealed[0] {
			continue
		}
		if data, err := key.seal.Open(nil, nil, sealed[1:], []byte(purpose)); err == nil {
			return data, i > 0, nil
		}
	}
	return nil, false, errUnsealable
}
