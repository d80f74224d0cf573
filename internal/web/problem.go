package web

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/bitjang/bitjang"
)

// Problem is the body of an error (RFC 9457). Code is the stable word that
// programs branch on.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	// SessionEnd says why the session had ended.
	SessionEnd string `json:"session_end,omitempty"`
	// StepUpURL says where to go when step-up is required.
	StepUpURL string `json:"step_up_url,omitempty"`
	// What proves more, where that is asked for.
	Challenge string               `json:"challenge,omitempty"`
	Factors   []bitjang.FactorKind `json:"factors,omitempty"`
	Passkey   json.RawMessage      `json:"passkey,omitempty"`  // for navigator.credentials.get
	Setup     *SetupBody           `json:"setup,omitempty"`    // of the factor that the user must have
	Email     string               `json:"email,omitempty"`    // where a code would go, in part
	HeldFor   string               `json:"held_for,omitempty"` // why the session is on hold

	RetryAfter time.Duration `json:"-"`
	Quota      bitjang.Quota `json:"-"`
	Allow      string        `json:"-"`
}

// SetupBody is what an authenticator app needs to know.
type SetupBody struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// Error makes a Problem an error, so that the edge can refuse on its own.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Refuse makes a problem of the edge itself.
func Refuse(status int, code, detail string) *Problem {
	return &Problem{Status: status, Code: code, Detail: detail}
}

var internalProblem = Refuse(http.StatusInternalServerError, "internal", "Something went wrong on our side.")

// statuses is the one table from the rules' codes to HTTP.
var statuses = map[bitjang.Code]int{
	bitjang.Invalid:         http.StatusBadRequest,
	bitjang.Unauthenticated: http.StatusUnauthorized,
	bitjang.Denied:          http.StatusForbidden,
	bitjang.NotFound:        http.StatusNotFound,
	bitjang.Conflict:        http.StatusConflict,
	bitjang.RateLimited:     http.StatusTooManyRequests,
	bitjang.Unavailable:     http.StatusServiceUnavailable,
	bitjang.Internal:        http.StatusInternalServerError,
}

// ProblemOf translates any error.
func ProblemOf(err error) *Problem {
	if p, ok := err.(*Problem); ok {
		return p
	}
	e := bitjang.AsError(err)
	p := &Problem{Status: statuses[e.Code], Code: e.Reason, Detail: e.Message, SessionEnd: string(e.SessionEnd), RetryAfter: e.RetryAfter, Quota: e.Quota}
	if c := e.Challenge; c != nil {
		p.Challenge, p.Factors, p.Passkey, p.Email, p.HeldFor = c.Token.Reveal(), c.Factors, c.Passkey, c.Email, c.HeldFor
		if c.Setup != nil {
			p.Setup = &SetupBody{c.Setup.Secret.Reveal(), c.Setup.URI.Reveal()}
		}
	}
	return p
}

// fail writes an error and logs it, once.
func (e *Edge) fail(w http.ResponseWriter, r *http.Request, err error) {
	e.Report(r, err)
	WriteProblem(w, r, ProblemOf(err))
}

// Report logs an error. What the caller did is not our news, what we did is.
func (e *Edge) Report(r *http.Request, err error) {
	p := ProblemOf(err)
	level := e.Log.Debug
	if p.Status >= 500 {
		level = e.Log.Error
	}
	level("request failed", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", err)
}

// WriteProblem writes a problem with the headers that belong to its status.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	out := *p
	out.Type, out.Title = "about:blank", http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	NoStore(w)
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	p.SetRetry(h)
	_, _, basic := r.BasicAuth()
	if p.Status == http.StatusUnauthorized || p.Code == bitjang.ErrInsufficientScope.Reason && !basic {
		h.Set("WWW-Authenticate", challenge(r, p.Code))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(out) // the caller is gone: nobody to tell
}

// SetRetry says when to try again, and which limit it was: the fields RateLimit
// and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10.
func (p *Problem) SetRetry(h http.Header) {
	if p.Status != http.StatusServiceUnavailable && p.RetryAfter <= 0 {
		return
	}
	wait := max(1, seconds(p.RetryAfter))
	h.Set("Retry-After", strconv.Itoa(wait))
	if p.Quota.Name == "" {
		return
	}
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", p.Quota.Name, p.Quota.Burst, seconds(p.Quota.Window)))
	h.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%d", p.Quota.Name, wait))
}

// seconds rounds up: who comes a moment too early has come for nothing.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// challenge is RFC 6750 section 3 and RFC 9449 section 7.1: an error is named only
// to a caller who sent an access token, and only when that or its proof is what is
// wrong.
func challenge(r *http.Request, code string) string {
	scheme, _ := authorization(r)
	token, _ := AccessToken(r)
	failed := ""
	switch code {
	case bitjang.ErrInvalidClient.Reason:
		return `Basic realm="bitjang"`
	case bitjang.ErrDPoPNonce.Reason, bitjang.ErrDPoPProof.Reason:
		scheme, failed = bitjang.TokenDPoP, code
	case bitjang.ErrDPoPRequired.Reason:
		scheme, failed = bitjang.TokenDPoP, "invalid_token"
	case bitjang.ErrInsufficientScope.Reason:
		failed = code
	case bitjang.ErrAccessToken.Reason, bitjang.ErrSessionUnknown.Reason, bitjang.ErrSessionExpired.Reason, bitjang.ErrSessionRevoked.Reason:
		if !token.IsZero() {
			failed = "invalid_token"
		}
	}
	if scheme != bitjang.TokenDPoP {
		scheme = bitjang.TokenBearer
	}
	c := scheme + ` realm="bitjang"`
	if failed != "" {
		c += `, error="` + failed + `"`
	}
	if scheme == bitjang.TokenDPoP {
		c += `, algs="ES256 EdDSA RS256"`
	}
	return c
}
