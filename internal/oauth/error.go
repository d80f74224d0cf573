package oauth

import (
	"net/http"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// errorBody is RFC 6749 section 5.2.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	// Code is our own word where the standard has one for many.
	Code string `json:"code,omitempty"`
}

// words are the standards' for ours, at the token endpoint. What is not here is
// called the same.
var words = map[string]string{
	bitjang.ErrTokenMalformed.Reason: "invalid_grant",
	bitjang.ErrSessionUnknown.Reason: "invalid_grant",
	bitjang.ErrSessionExpired.Reason: "invalid_grant",
	bitjang.ErrSessionRevoked.Reason: "invalid_grant",
	bitjang.ErrTokenReused.Reason:    "invalid_grant",
	bitjang.ErrSuperseded.Reason:     "invalid_grant",
	bitjang.ErrUserDisabled.Reason:   "invalid_grant",
	bitjang.ErrStepUpRequired.Reason: "interaction_required",
	bitjang.ErrDPoPRequired.Reason:   bitjang.ErrDPoPProof.Reason,
}

// errorOf is an error in the words of RFC 6749 section 5.2.
func errorOf(p *web.Problem) (status int, body errorBody) {
	switch {
	case p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests:
		return p.Status, errorBody{Error: "temporarily_unavailable", Description: describe(p.Detail), Code: p.Code}
	case p.Status >= 500:
		return p.Status, errorBody{Error: "server_error", Description: describe(p.Detail)}
	}
	if word, ok := words[p.Code]; ok {
		return http.StatusBadRequest, errorBody{Error: word, Description: describe(p.Code + ": " + p.Detail), Code: p.Code}
	}
	return p.Status, errorBody{Error: p.Code, Description: describe(p.Detail)}
}

// Fail answers with an error.
func (o *OAuth) Fail(w http.ResponseWriter, r *http.Request, err error) {
	o.Edge.Report(r, err)
	p := web.ProblemOf(err)
	status, body := errorOf(p)
	if p.Code == bitjang.ErrInvalidClient.Reason && usesHeader(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="bitjang"`) // only to whom used it (OAuth 2.1 section 3.2.4)
	}
	if p.Allow != "" {
		w.Header().Set("Allow", p.Allow)
	}
	p.SetRetry(w.Header())
	web.NoStore(w)
	_ = web.WriteJSON(w, status, body) // two texts: nothing to go wrong
}

// describe makes a text fit for error_description, which has no quotes, backslashes
// and nothing but ASCII.
func describe(text string) string { return clip(printable(text), 300) }

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text)
}

func clip(text string, n int) string { return text[:min(len(text), n)] }
