// Package oauth is the endpoints that OAuth 2 and OpenID Connect give names to,
// for programs: token, revocation, introspection, userinfo, the keys and the
// discovery documents. Each handler is: parse, one call of the Service, answer. It
// decides no rule; package server routes to it, and package pages has the
// endpoints that people see.
package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/web"
)

// OAuth has one method per endpoint.
type OAuth struct {
	Service *bitjang.Service
	Edge    *web.Edge
	NoPages bool   // there is no authorization endpoint either
	Path    string // of the issuer's URL, "" for a host of its own
}

// form is a request's body: what is empty is absent, and nothing is repeated
// (RFC 6749 section 3.2).
type form struct{ values url.Values }

func (f form) get(name string) string { return f.values.Get(name) }

func (f form) secret(name string) bitjang.Secret { return bitjang.NewSecret(f.get(name)) }

// readForm reads the body, and never the query: what stands there ends in logs.
func readForm(r *http.Request) (form, error) {
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return form{}, web.Refuse(http.StatusRequestEntityTooLarge, invalidRequest, "The request body is too large.")
		}
		return form{}, badRequest("The request body is no form.")
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return form{}, badRequest("Send a form: Content-Type: application/x-www-form-urlencoded.")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return form{}, badRequest("A parameter is repeated: " + printable(name) + ".")
		}
	}
	return form{r.PostForm}, nil
}

const (
	invalidRequest = "invalid_request"
	// assertionType is that of RFC 7523 section 2.2.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

func badRequest(why string) error { return web.Refuse(http.StatusBadRequest, invalidRequest, why) }

// credentials are the client's, sent in one of the ways there are and not in two
// (RFC 6749 section 2.3).
func (o *OAuth) credentials(r *http.Request, f form) (bitjang.ClientCredentials, error) {
	in := bitjang.ClientCredentials{
		ID: f.get("client_id"), Secret: f.secret("client_secret"), Assertion: f.secret("client_assertion"), IP: o.Edge.Caller(r).IP,
	}
	if in.Assertion.IsZero() != (f.get("client_assertion_type") == "") {
		return in, badRequest("client_assertion and client_assertion_type go together.")
	}
	if kind := f.get("client_assertion_type"); kind != "" && kind != assertionType {
		return in, badRequest("The client_assertion_type is " + assertionType + ".")
	}
	if !in.Secret.IsZero() && !in.Assertion.IsZero() {
		return in, badRequest("Authenticate in one way.")
	}
	if !usesHeader(r) {
		return in, nil
	}
	id, secret, ok := web.BasicAuth(r)
	switch {
	case !ok:
		return in, bitjang.ErrInvalidClient
	case !in.Secret.IsZero() || !in.Assertion.IsZero():
		return in, badRequest("Authenticate in one way.")
	case in.ID != "" && in.ID != id:
		return in, badRequest("The client_id is not the one of the Authorization header.")
	}
	in.ID, in.Secret = id, bitjang.NewSecret(secret)
	return in, nil
}

// usesHeader tells whether the client authenticates by the Authorization header.
func usesHeader(r *http.Request) bool { return r.Header.Get("Authorization") != "" }
