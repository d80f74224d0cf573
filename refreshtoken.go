package bitjang

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"
)

// refreshToken is the content of a refresh token: `bjr_` and 54 bytes in
// base64url (docs/rotation.md). It names its session and its place in the
// chain, and is trusted only because of its MAC.
type refreshToken struct {
	session    SessionID
	generation uint32
	nonce      Nonce
	parent     Nonce // nonce of the token it was exchanged for; zero at login

	terms *terms // those of the Client it is for; nil: our own
}

const (
	tokenPrefix  = "bjr_" // secret scanners find leaked tokens by it
	tokenVersion = 1

	tokenBody  = 1 + 1 + 16 + 4 + 8 + 8
	tokenMAC   = 16
	tokenBytes = tokenBody + tokenMAC
)

// tokenLength is the only length a token may have. 54 bytes are 72 characters
// with no bits left over, so every token has exactly one spelling.
var tokenLength = len(tokenPrefix) + base64.RawURLEncoding.EncodedLen(tokenBytes)

// firstToken is the token of a login.
func firstToken(id SessionID) refreshToken {
	return refreshToken{session: id, nonce: newNonce()}
}

// child is the token that t is exchanged for. Children of one parent differ:
// were they alike, a thief could walk in step with the victim for ever.
func (t refreshToken) child() refreshToken {
	return refreshToken{session: t.session, generation: t.generation + 1, nonce: newNonce(), parent: t.nonce, terms: t.terms}
}

// mint writes the token with the newest key of the ring.
func (r *keyRing) mint(t refreshToken) Secret {
	key := r.keys[0]
	b := make([]byte, 0, tokenBytes)
	b = append(b, tokenVersion, key.id)
	b = append(b, t.session[:]...)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	b = append(b, t.nonce[:]...)
	b = append(b, t.parent[:]...)
	b = append(b, key.mac(b, t.terms)...)
	return NewSecret(tokenPrefix + base64.RawURLEncoding.EncodeToString(b))
}

// parse reads a token of ours and checks its MAC, or returns ErrTokenMalformed.
// It does no I/O: forged and mangled tokens cost the store nothing.
func (r *keyRing) parse(secret Secret) (refreshToken, error) { return r.parseFor(secret, nil) }

// parseFor is parse for a token on the terms of a Client. The MAC covers whose
// it is: one client's token is no token at all for another, and neither are our
// own for a client or a client's for us.
func (r *keyRing) parseFor(secret Secret, on *terms) (refreshToken, error) {
	text := secret.Reveal()
	if len(text) != tokenLength || !strings.HasPrefix(text, tokenPrefix) {
		return refreshToken{}, ErrTokenMalformed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text[len(tokenPrefix):])
	// The decoder skips newlines, so the length is checked again.
	if err != nil || len(b) != tokenBytes || b[0] != tokenVersion || !r.genuine(b, on) {
		return refreshToken{}, ErrTokenMalformed
	}
	return refreshToken{
		session:    SessionID(b[2:18]),
		generation: binary.BigEndian.Uint32(b[18:22]),
		nonce:      Nonce(b[22:30]),
		parent:     Nonce(b[30:38]),
		terms:      on,
	}, nil
}

// genuine tells whether any key of the ring with the token's key id made its
// MAC. Key ids are one byte, so two keys may share one.
func (r *keyRing) genuine(token []byte, on *terms) bool {
	for _, key := range r.keys {
		if key.id == token[1] && hmac.Equal(key.mac(token[:tokenBody], on), token[tokenBody:]) {
			return true
		}
	}
	return false
}

// mac covers the body, whose length is fixed, and the client's id behind it.
func (k *ringKey) mac(body []byte, on *terms) []byte {
	m := hmac.New(func() hash.Hash { return sha256.New() }, k.refresh)
	m.Write(body)
	if on != nil {
		m.Write([]byte(on.client.ID))
	}
	return m.Sum(nil)[:tokenMAC]
}
