package bitjang

import (
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang/verify"
)

// terms are what a Client's refresh differs in from our own. Nil terms are our
// own: nothing differs.
type terms struct {
	client          *Client
	scope, resource string // what this refresh asks for; "": all that was granted
}

func (t *terms) accessTTL(usual time.Duration) time.Duration {
	if t == nil || t.client.AccessTTL == 0 {
		return usual
	}
	return min(t.client.AccessTTL, usual) // the feed reaches back no further
}

func (t *terms) refreshTTL(usual time.Duration) time.Duration {
	if t == nil || t.client.RefreshTTL == 0 {
		return usual
	}
	return t.client.RefreshTTL
}

// wish tells refreshes of one token for different things apart.
func (t *terms) wish() string {
	if t == nil {
		return ""
	}
	return t.scope + "\x00" + t.resource
}

// narrow limits an access token to what a refresh asks for. Scope and audience
// never become wider than what the session was granted (RFC 6749 section 6).
func (t *terms) narrow(claims *verify.Claims, sess *Session) error {
	switch {
	case t == nil:
		return nil
	case t.resource != "" && t.resource != sess.Audience:
		return ErrInvalidTarget
	case t.scope == "":
		return nil
	case !within(t.scope, sess.Scope):
		return ErrInvalidScope
	}
	claims.Scope = t.scope
	return nil
}

// within tells whether every word of one list is in another.
func within(words, of string) bool {
	all := strings.Fields(of)
	return !slices.ContainsFunc(strings.Fields(words), func(w string) bool { return !slices.Contains(all, w) })
}

func hasScope(scope, word string) bool { return slices.Contains(strings.Fields(scope), word) }
