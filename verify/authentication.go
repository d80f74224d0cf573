package verify

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Authentication is how, and how lately, a user must have proved who they are.
// Bitjang's levels are aal1 and aal2: two factors, or a passkey that knows its user.
type Authentication struct {
	ACR    []string      // any of these levels will do; none: whichever
	MaxAge time.Duration // since the last proof, in whole seconds; 0: whenever
}

// RequireAuthentication lets requests through whose token was issued on such a
// proof. It answers others with 401 insufficient_user_authentication and says
// what would do (RFC 9470 section 3): a client takes that to POST /v1/step-up or
// to the authorization endpoint. It goes behind Middleware.
func (v *Verifier) RequireAuthentication(a Authentication) func(http.Handler) http.Handler {
	missing := &refusal{
		status: http.StatusUnauthorized, code: "insufficient_user_authentication",
		detail: "the user must prove who they are once more, or better",
	}
	if len(a.ACR) > 0 {
		missing.wanted = ", acr_values=" + quote(strings.Join(a.ACR, " "))
	}
	if a.MaxAge > 0 {
		missing.wanted += `, max_age="` + strconv.Itoa(int(a.MaxAge/time.Second)) + `"`
	}
	return v.require(missing, func(c *Claims) bool { return a.met(c, v.cfg.Now().Add(-v.cfg.Leeway)) })
}

// met looks at the claims. A token that does not say when or how its user proved
// anything says that they did not.
func (a *Authentication) met(c *Claims, now time.Time) bool {
	if len(a.ACR) > 0 && (c.ACR == "" || !slices.Contains(a.ACR, c.ACR)) {
		return false
	}
	return a.MaxAge <= 0 || c.AuthTime > 0 && !now.After(time.Unix(c.AuthTime, 0).Add(a.MaxAge))
}
