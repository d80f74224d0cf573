package verify

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/bitjang/bitjang/internal/dpop"
)

// Confirmation is the `cnf` of a token that is bound to a key (RFC 7800): whoever
// uses it has to show that they hold the key.
type Confirmation struct {
	KeyThumbprint string `json:"jkt,omitempty"` // RFC 9449 section 6.1
}

// Proof is a DPoP proof and the request that it came with (RFC 9449).
type Proof struct {
	JWT    string // the DPoP header
	Method string // of the request
	URL    string // that the client sent the request to; query and fragment do not matter
}

var (
	// ErrProofRequired refuses a token that is bound to a key when nobody shows
	// that they hold it, whatever else is right (RFC 9449 section 7.2).
	ErrProofRequired = errors.New("verify: the token is bound to a key, and needs a DPoP proof")
	// ErrProof refuses a proof: it is none, not for this request or token, not by
	// the token's key, too old, or was here before.
	ErrProof = errors.New("verify: the DPoP proof is not good")
	// ErrNotBound refuses a token that came with a proof and is bound to no key.
	ErrNotBound = errors.New("verify: the token is not bound to a key")
)

// maxProofs bounds the memory of proofs that were here: a minute of a thousand
// requests a second.
const maxProofs = 1 << 17

// VerifyProof is Verify for a token that is bound to a key and came with a proof.
// Each proof is taken once; several servers behind one name each have a memory of
// their own.
func (v *Verifier) VerifyProof(ctx context.Context, token string, p Proof) (*Claims, error) {
	claims, err := v.check(ctx, token)
	if err != nil {
		return nil, err
	}
	if claims.Confirmation.KeyThumbprint == "" {
		return nil, ErrNotBound
	}
	if p.JWT == "" {
		return nil, ErrProofRequired
	}
	proof, err := dpop.Parse(p.JWT)
	if err != nil {
		return nil, ErrProof
	}
	now := v.cfg.Now()
	err = proof.Check(dpop.Want{
		Method: p.Method, URL: p.URL, Now: now, Past: v.cfg.ProofAge, Future: v.cfg.Leeway,
		Access: token, Thumbprint: claims.Confirmation.KeyThumbprint,
	})
	// Only what is good is remembered: strangers cannot fill the memory.
	if err != nil || v.proofs.Before(proof, now, v.cfg.ProofAge+v.cfg.Leeway) {
		return nil, ErrProof
	}
	return claims, nil
}

// proofOf is the proof of a request. Two of them are none (RFC 9449 section 4.3).
func (v *Verifier) proofOf(r *http.Request) (Proof, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) > 1 {
		return Proof{}, ErrProof
	}
	p := Proof{Method: r.Method, URL: v.origin(r) + pathOf(r)}
	if len(headers) == 1 {
		p.JWT = headers[0]
	}
	return p, nil
}

func (v *Verifier) origin(r *http.Request) string {
	switch {
	case v.cfg.Origin != "":
		return v.cfg.Origin
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// pathOf is the path as the client sent it, also behind http.StripPrefix.
func pathOf(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	if u, err := url.Parse(r.RequestURI); err == nil && u.Host != "" {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}
