package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/bitjang/bitjang/internal/jws"
)

const (
	// MaxProof is the length of the longest proof that is looked at: one with an
	// RSA key of 4096 bits and a long URL fits.
	MaxProof = 4 << 10
	// maxID is the length of the longest jti. It will be remembered.
	maxID = 256

	proofType = "dpop+jwt"
)

// Algorithms are those that a proof may be signed with: asymmetric ones, of
// which the key allows exactly one (check 5 of RFC 9449 section 4.3).
func Algorithms() []string { return []string{jws.ES256, jws.EdDSA, jws.RS256} }

// What is wrong with a proof. The texts contain nothing of it.
var (
	ErrMalformed = errors.New("dpop: not a proof, or its key or signature is not good")
	ErrRequest   = errors.New("dpop: the proof is for another request")
	ErrAccess    = errors.New("dpop: the proof is for another access token")
	ErrKey       = errors.New("dpop: the proof is by another key")
	ErrStale     = errors.New("dpop: the proof is too old or from the future")
)

// Proof is what a well-formed and properly signed proof says. Whether it is for
// this request is Check's question.
type Proof struct {
	Thumbprint string // of the key that signed it (RFC 7638): the `jkt` of tokens bound to it
	ID         string // jti
	Method     string // htm
	URL        string // htu
	IssuedAt   time.Time
	AccessHash string // ath, may be empty
	Nonce      string // may be empty
}

// Parse does the checks that need nothing but the proof itself, which are 2 to 7
// of RFC 9449 section 4.3: a JWT with every required claim, of the right type,
// signed by the public key that it brings along, with an algorithm that the key
// is for. (That there is one proof only, check 1, is for the edge to see.)
func Parse(proof string) (Proof, error) {
	if len(proof) > MaxProof {
		return Proof{}, ErrMalformed
	}
	t, err := jws.Parse(proof)
	if err != nil || t.Header.Typ != proofType || t.Header.JWK == "" {
		return Proof{}, ErrMalformed
	}
	key, err := jws.ParsePublic([]byte(t.Header.JWK))
	if err != nil || t.Verify(key.Algorithm, key.Public) != nil {
		return Proof{}, ErrMalformed
	}
	p, ok := readClaims(t.Payload)
	if !ok {
		return Proof{}, ErrMalformed
	}
	if p.Thumbprint, err = jws.Thumbprint(key.Public); err != nil {
		return Proof{}, ErrMalformed
	}
	return p, nil
}

// readClaims wants exact names, each once, and every required claim with a
// value: an empty one must not equal an empty anything later.
func readClaims(payload []byte) (p Proof, ok bool) {
	members, err := jws.Members(payload)
	if err != nil {
		return Proof{}, false
	}
	for _, m := range members {
		ok := true
		switch m.Name {
		case "jti":
			p.ID, ok = m.Text()
		case "htm":
			p.Method, ok = m.Text()
		case "htu":
			p.URL, ok = m.Text()
		case "ath":
			p.AccessHash, ok = m.Text()
			ok = ok && p.AccessHash != ""
		case "nonce":
			p.Nonce, ok = m.Text()
			ok = ok && p.Nonce != ""
		case "iat":
			p.IssuedAt, ok = numericDate(m.Value)
		}
		if !ok {
			return Proof{}, false
		}
	}
	return p, p.ID != "" && len(p.ID) <= maxID && p.Method != "" && p.URL != "" && !p.IssuedAt.IsZero()
}

// numericDate reads seconds since 1970, with or without a fraction (RFC 7519
// section 2).
func numericDate(value []byte) (time.Time, bool) {
	var seconds float64
	if json.Unmarshal(value, &seconds) != nil || seconds < 1 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true
}

// Want is what a proof has to agree with.
type Want struct {
	Method string
	URL    string // under which the request was made; query and fragment do not matter
	Now    time.Time
	Past   time.Duration // how old a proof may be
	Future time.Duration // how far the caller's clock may be ahead

	Access     string // the access token of the request; "" where there is none
	Thumbprint string // the key that it has to be by; "" for any
}

// Check does the checks that compare a proof with a request, which are 8, 9, 11
// and 12 of RFC 9449 section 4.3. The nonce, check 10, is the caller's: only it
// knows which ones it gave out.
func (p Proof) Check(w Want) error {
	if p.Method != w.Method || !sameURL(p.URL, w.URL) {
		return ErrRequest
	}
	if age := w.Now.Sub(p.IssuedAt); age > w.Past || age < -w.Future {
		return ErrStale
	}
	if w.Thumbprint != "" && subtle.ConstantTimeCompare([]byte(p.Thumbprint), []byte(w.Thumbprint)) != 1 {
		return ErrKey
	}
	if w.Access != "" && subtle.ConstantTimeCompare([]byte(p.AccessHash), []byte(AccessHash(w.Access))) != 1 {
		return ErrAccess
	}
	return nil
}

// AccessHash is the `ath` of proofs for an access token (RFC 9449 section 4.2).
func AccessHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
