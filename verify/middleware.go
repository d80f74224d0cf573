package verify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/bitjang/bitjang/internal/dpop"
)

type claimsKey struct{}

// NewContext returns a context that carries claims, as Middleware makes it for
// the handlers behind it. It is for tests of such handlers.
func NewContext(ctx context.Context, c *Claims) context.Context {
	return context.WithValue(ctx, claimsKey{}, c)
}

// FromContext returns the claims of the token that Middleware has verified.
func FromContext(ctx context.Context) (*Claims, bool) {
	c, ok := ctx.Value(claimsKey{}).(*Claims)
	return c, ok && c != nil
}

// Middleware lets only requests with a good access token through to next, which
// finds the claims with FromContext. Everything else is answered as RFC 6750
// section 3 has it:
//
//	no token                              401, a challenge without an error
//	a token that is not good              401 invalid_token
//	two Authorization headers, two cookies of the name, or a
//	header and a cookie that differ       400 invalid_request
//	a token in the cookie of a request
//	that another site caused              403
//	a token that is bound to a key, and a
//	proof that is missing or not good     401 invalid_token or invalid_dpop_proof,
//	                                      and a challenge as RFC 9449 section 7.1 has it
//	a session that is on hold             401 insufficient_user_authentication (RFC 9470)
//	keys that cannot be had, or a stale
//	feed with FailClosed                  503 with Retry-After
//
// A header and a cookie with the same token are one token. Tokens in the query
// or in a form are not looked at.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := v.VerifyRequest(r)
		if err != nil {
			v.refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), claims)))
	})
}

// VerifyRequest does what Middleware does before it answers, for other
// frameworks: it finds the token of a request, and its proof, and checks them.
// Refuse answers with the error.
func (v *Verifier) VerifyRequest(r *http.Request) (*Claims, error) {
	token, scheme, err := v.token(r)
	if err != nil {
		return nil, err
	}
	// A token that came as a bearer token is one, whatever came beside it (RFC
	// 9449 section 7.2). One in a cookie has no scheme.
	if scheme == "bearer" || scheme == "" && r.Header.Get("DPoP") == "" {
		return v.Verify(r.Context(), token)
	}
	proof, err := v.proofOf(r)
	if err != nil {
		return nil, err
	}
	claims, err := v.VerifyProof(r.Context(), token, proof)
	if errors.Is(err, ErrNotBound) && scheme == "" {
		return v.Verify(r.Context(), token) // the proof was for somebody else
	}
	return claims, err
}

// Refuse answers a request that is refused, as Middleware does.
func (v *Verifier) Refuse(w http.ResponseWriter, err error) { v.refuse(w, err) }

// RequireScope lets requests through whose token has all the scopes, and answers
// others with 403. It goes behind Middleware.
func (v *Verifier) RequireScope(scopes ...string) func(http.Handler) http.Handler {
	missing := &refusal{
		status: http.StatusForbidden, code: "insufficient_scope", detail: "the token lacks a scope",
		scope: strings.Join(scopes, " "),
	}
	return v.require(missing, func(c *Claims) bool {
		for _, s := range scopes {
			if !c.HasScope(s) {
				return false
			}
		}
		return true
	})
}

// RequireRole lets requests through whose token has the role, and answers others
// with 403. It goes behind Middleware.
func (v *Verifier) RequireRole(role string) func(http.Handler) http.Handler {
	missing := &refusal{status: http.StatusForbidden, code: "insufficient_scope", detail: "the user lacks a role"}
	return v.require(missing, func(c *Claims) bool { return c.HasRole(role) })
}

func (v *Verifier) require(missing *refusal, has func(*Claims) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch c, ok := FromContext(r.Context()); {
			case !ok: // nobody verified anything: fail closed
				v.refuse(w, ErrNoToken)
			case !has(c):
				v.refuse(w, missing)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// refusal is an answer of the middleware.
type refusal struct {
	status int
	code   string // RFC 6750 section 3.1; empty when no token was sent
	detail string
	scope  string // what would have been enough
	wanted string // the same about the user's authentication, as parameters of the challenge
	dpop   bool   // the challenge is for a proof
}

func (r *refusal) Error() string { return "verify: " + r.detail }

var (
	errTwoTokens   = &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: "more than one token"}
	errEmptyToken  = &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: "an empty token"}
	errCrossOrigin = &refusal{status: http.StatusForbidden, detail: "a cookie does not count in a request from another site"}
	errNoToken     = &refusal{status: http.StatusUnauthorized, detail: "an access token is needed"}
	errKeys        = &refusal{status: http.StatusServiceUnavailable, detail: "signing keys are unavailable, try again"}
	errFeed        = &refusal{status: http.StatusServiceUnavailable, detail: "nobody knows whether the session has ended, try again"}
	errHeld        = &refusal{status: http.StatusUnauthorized, code: "insufficient_user_authentication", detail: "the session is on hold until the user proves who they are"}
	errProof       = &refusal{status: http.StatusUnauthorized, code: "invalid_dpop_proof", detail: "the DPoP proof is not good", dpop: true}
	errUnproved    = &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: "the token is bound to a key and needs the DPoP scheme and a proof", dpop: true}
	errNotBound    = &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: "the token is not bound to a key", dpop: true}
)

// token takes the token out of a request, with the scheme in small letters if it
// is in the header.
func (v *Verifier) token(r *http.Request) (token, scheme string, err error) {
	header, scheme, err := authorization(r.Header.Values("Authorization"))
	if err != nil || v.cfg.Cookie == "" {
		return header, scheme, err
	}
	cookies := r.CookiesNamed(v.cfg.Cookie)
	switch {
	case len(cookies) > 1:
		return "", "", errTwoTokens
	case len(cookies) == 0 || cookies[0].Value == "":
		return header, scheme, nil
	case header != "":
		if header != cookies[0].Value {
			return "", "", errTwoTokens
		}
		return header, scheme, nil // other sites cannot write this header
	}
	if v.cfg.CrossOrigin.Check(r) != nil {
		return "", "", errCrossOrigin
	}
	return cookies[0].Value, "", nil
}

// authorization returns the token of the Authorization headers. Another scheme
// is nobody's mistake: it is for somebody else.
func authorization(headers []string) (token, scheme string, err error) {
	if len(headers) > 1 {
		return "", "", errTwoTokens
	}
	if len(headers) == 0 {
		return "", "", nil
	}
	scheme, token, _ = strings.Cut(headers[0], " ")
	if scheme = strings.ToLower(scheme); scheme != "bearer" && scheme != "dpop" {
		return "", "", nil
	}
	if token = strings.Trim(token, " "); token == "" {
		return "", "", errEmptyToken
	}
	return token, scheme, nil
}

// details are the words for strangers. They tell a developer what to look at,
// and nothing that the token itself does not say.
var details = []struct {
	err    error
	detail string
}{
	{ErrExpired, "the token has expired"},
	{ErrNotYetValid, "the token is not valid yet"},
	{ErrMalformed, "the token is malformed"},
	{ErrWrongIssuer, "the token is from another issuer"},
	{ErrWrongAudience, "the token is for another audience"},
	{ErrWrongType, "the token is not an access token"},
	{ErrAlgorithm, "the algorithm is not allowed"},
	{ErrUnknownKey, "the signing key is unknown"},
	{ErrBadSignature, "the signature is not valid"},
	{ErrMissingClaim, "a required claim is missing"},
	{ErrSessionRevoked, "the session has ended"},
}

func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	switch {
	case errors.Is(err, ErrNoToken):
		return errNoToken
	case errors.Is(err, ErrKeysUnavailable):
		return errKeys
	case errors.Is(err, ErrFeedUnavailable):
		return errFeed
	case errors.Is(err, ErrSessionHeld):
		return errHeld
	case errors.Is(err, ErrProof):
		return errProof
	case errors.Is(err, ErrProofRequired):
		return errUnproved
	case errors.Is(err, ErrNotBound):
		return errNotBound
	}
	for _, d := range details {
		if errors.Is(err, d.err) {
			return &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: d.detail}
		}
	}
	return &refusal{status: http.StatusUnauthorized, code: "invalid_token", detail: "the token is not valid"}
}

// refuse answers a request that does not go through. The body is an RFC 9457
// problem; the challenge is RFC 6750's.
func (v *Verifier) refuse(w http.ResponseWriter, err error) {
	r := refusalOf(err)
	h := w.Header()
	switch {
	case r.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(refetchAfter.Seconds())))
	case r == errCrossOrigin:
		// No challenge: no token would help, the page that asked is the wrong one.
	default:
		h.Set("WWW-Authenticate", v.challenge(r))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code,omitempty"`
		Detail string `json:"detail"`
	}{http.StatusText(r.status), r.status, r.code, r.detail}) // the client may be gone
}

func (v *Verifier) challenge(r *refusal) string {
	c := "Bearer realm=" + v.realm
	if r.dpop {
		c = "DPoP realm=" + v.realm
	}
	if r.code != "" {
		c += `, error="` + r.code + `", error_description="` + r.detail + `"`
	}
	if r.scope != "" {
		c += ", scope=" + quote(r.scope)
	}
	c += r.wanted
	if r.dpop {
		c += ", algs=" + quote(strings.Join(dpop.Algorithms(), " "))
	}
	return c
}

// quote writes a quoted-string (RFC 9110 section 5.6.4). What a header cannot
// carry becomes a question mark.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < 0x20 || c > 0x7e:
			b.WriteByte('?')
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
