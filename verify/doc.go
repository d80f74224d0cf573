// Package verify checks Bitjang's access tokens in a resource server: give a
// Verifier the issuer and the name of your API, wrap your handlers in its
// Middleware, and read who is asking with FromContext.
//
// It decides whether a string is an access token (RFC 9068) that this issuer
// signed for this audience and that is valid now, and how an HTTP server answers
// when it is not (RFC 6750). It keeps the issuer's public keys (RFC 7517) up to
// date, also while keys rotate and while the issuer is down.
//
// It never asks anybody about the session behind a token: a token of a session
// that has ended stays good until it expires, so access tokens are short-lived.
// It never mints tokens, never accepts one from a URL, never follows what a
// token says about where its key is, and starts no goroutine before a request
// needs one.
//
// Any program may import it; it needs the standard library only. The root
// package checks its own tokens with it.
package verify
