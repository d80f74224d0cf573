package bitjang

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/bitjang/bitjang/internal/dpop"
	"github.com/bitjang/bitjang/verify"
)

// Proof is what a request brings to show that its caller holds a key: a DPoP
// proof (RFC 9449). The zero value is none.
type Proof struct {
	JWT    string // the DPoP header; several of them are joined and so are no proof
	Method string // of the request
	URL    string // that the client sent it to
	Scheme string // of the Authorization header, "Bearer" or "DPoP", or empty
}

// Refusals of proofs. At endpoints that give tokens they are Invalid (400), at all
// others Unauthenticated (401), as RFC 9449 sections 5, 7.1, 8 and 9 have it.
var (
	ErrDPoPRequired = &Error{Code: Unauthenticated, Reason: "dpop_proof_required", Message: "The token is bound to a key. Send it with the DPoP scheme and a proof by that key."}
	ErrDPoPProof    = &Error{Code: Unauthenticated, Reason: "invalid_dpop_proof", Message: "The DPoP proof is not good: not for this request or token, not by the right key, too old, or used before."}
	ErrDPoPNonce    = &Error{Code: Unauthenticated, Reason: "use_dpop_nonce", Message: "The DPoP proof needs the nonce of the DPoP-Nonce header. Make another one with it."}
)

const (
	// nonceStep is how long a nonce is given out, nonceSteps how many of them are
	// good: a proof is for five minutes at least and six at most.
	nonceStep  = time.Minute
	nonceSteps = 6
	// proofClock is how far a client's clock may be wrong. The nonce tells how old
	// a proof is; phones need not know the time for it.
	proofClock = 15 * time.Minute
	// maxProofs bounds the memory of proofs that were here.
	maxProofs = 1 << 17

	// TokenBearer and TokenDPoP are the types of access tokens.
	TokenBearer = "Bearer"
	TokenDPoP   = "DPoP"
)

// DPoPAlgorithms are those that proofs may be signed with.
func (s *Service) DPoPAlgorithms() []string { return dpop.Algorithms() }

// DPoPNonce is the nonce that new proofs should have. Any node takes it: it is
// the time with a MAC, and nobody keeps it.
func (s *Service) DPoPNonce() string { return s.ring.keys[0].nonceAt(s.clock()) }

// nonceAt is the nonce that is given out at a moment.
func (k *ringKey) nonceAt(t time.Time) string {
	step := binary.BigEndian.AppendUint64(nil, uint64(t.Unix()/int64(nonceStep/time.Second)))
	m := hmac.New(sha256.New, k.nonce)
	m.Write(step)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}

// goodNonce tells whether any node may have given a nonce out lately, with any
// key of the ring, or is about to.
func (r *keyRing) goodNonce(nonce string, now time.Time) bool {
	for i := range r.keys {
		for back := -1; back < nonceSteps; back++ {
			good := r.keys[i].nonceAt(now.Add(-time.Duration(back) * nonceStep))
			if hmac.Equal([]byte(good), []byte(nonce)) {
				return true
			}
		}
	}
	return false
}

// showKey checks the proof of a caller who wants tokens, if there is one, and notes
// whose key it is by. A client that sent none has none.
func (s *Service) showKey(from *Caller) error {
	if from.Proof.JWT == "" || from.key != "" {
		return nil
	}
	key, err := s.checkProof(from.Proof, "", "")
	if err != nil {
		return asInvalid(err)
	}
	from.key = key
	return nil
}

// asInvalid is a refusal of a proof as the token endpoint says it.
func asInvalid(err error) error {
	e := *AsError(err)
	e.Code = Invalid
	return &e
}

// checkProof checks a proof and returns the thumbprint of its key. access is the
// access token that it has to be for, and key the one that it has to be by, if
// that is known.
func (s *Service) checkProof(p Proof, access, key string) (thumbprint string, err error) {
	if p.JWT == "" {
		return "", ErrDPoPRequired
	}
	proof, err := dpop.Parse(p.JWT)
	if err != nil {
		return "", ErrDPoPProof.because(err)
	}
	now := s.clock()
	err = proof.Check(dpop.Want{Method: p.Method, URL: p.URL, Now: now, Past: proofClock, Future: proofClock, Access: access, Thumbprint: key})
	if err != nil {
		return "", ErrDPoPProof.because(err)
	}
	if !s.ring.goodNonce(proof.Nonce, now) {
		return "", ErrDPoPNonce
	}
	if s.proofs.Before(proof, now, (nonceSteps+1)*nonceStep) {
		return "", ErrDPoPProof.because(errProofUsed)
	}
	return proof.Thumbprint, nil
}

var errProofUsed = errors.New("the proof was here before")

// holdsKey checks that whoever uses an access token holds the key that it is
// bound to. A bound token is no bearer token, whatever comes beside it (RFC 9449
// section 7.2), and a bearer token is no bound one.
func (s *Service) holdsKey(claims *verify.Claims, access Secret, from Caller) error {
	key, scheme := claims.Confirmation.KeyThumbprint, from.Proof.Scheme
	switch {
	case key == "" && scheme == TokenDPoP:
		return ErrAccessToken
	case key == "":
		return nil
	case scheme == TokenBearer:
		return ErrDPoPRequired
	}
	_, err := s.checkProof(from.Proof, access.Reveal(), key)
	return err
}

// bound tells whether the session is bound to a key that the caller has not
// shown to hold.
func (s *Session) bound(from Caller) bool {
	return s.KeyThumbprint != "" && s.KeyThumbprint != from.key
}

// own tells whether the caller has shown to hold the session's key.
func (s *Session) own(from Caller) bool { return s.KeyThumbprint != "" && s.KeyThumbprint == from.key }

// unproven is the refusal of a refresh token whose session is bound to a key.
func unproven(from Caller) error {
	if from.Proof.JWT == "" {
		return asInvalid(ErrDPoPRequired)
	}
	return asInvalid(ErrDPoPProof)
}

// tokenKey is the key that new access tokens are bound to: the session's, or the
// one that this caller has shown to hold.
func tokenKey(sess *Session, from Caller) string {
	if sess.KeyThumbprint != "" {
		return sess.KeyThumbprint
	}
	return from.key
}
