package web

import (
	"net/http"
	"net/url"
)

// BasicAuth reads a client's id and secret, encoded as RFC 6749 section 2.3.1
// has it.
func BasicAuth(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return id, secret, errID == nil && errSecret == nil
}
