package verify

import "errors"

// Why a token is refused. Compare with errors.Is. No text contains a part of a
// token, so all of them may be logged.
var (
	ErrNoToken       = errors.New("verify: no token")
	ErrMalformed     = errors.New("verify: malformed token")
	ErrAlgorithm     = errors.New("verify: algorithm not allowed")
	ErrWrongType     = errors.New("verify: not an access token")
	ErrUnknownKey    = errors.New("verify: unknown signing key")
	ErrBadSignature  = errors.New("verify: bad signature")
	ErrMissingClaim  = errors.New("verify: a required claim is missing")
	ErrWrongIssuer   = errors.New("verify: wrong issuer")
	ErrWrongAudience = errors.New("verify: wrong audience")
	ErrExpired       = errors.New("verify: token expired")
	ErrNotYetValid   = errors.New("verify: token not valid yet")
)

// ErrKeysUnavailable says nothing about the token: the issuer's keys could not
// be had, and the same token may be good in a moment. Answer 503, never 401.
var ErrKeysUnavailable = errors.New("verify: signing keys unavailable")
