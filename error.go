package bitjang

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of a failure: what a caller can do about it. Every edge
// (JSON API, OAuth endpoints, pages, CLI) has one table from Code to its own
// way of saying so.
type Code string

// The codes.
const (
	Invalid         Code = "invalid"         // the request cannot be understood or breaks a rule; do not repeat it
	Unauthenticated Code = "unauthenticated" // no, wrong, expired or ended credentials
	Denied          Code = "denied"          // known, but not allowed
	NotFound        Code = "not_found"       // no such thing, or not yours
	Conflict        Code = "conflict"        // the state has moved; look again
	RateLimited     Code = "rate_limited"    // too often; later
	Unavailable     Code = "unavailable"     // a store or pool is down or full; the same request may succeed later
	Internal        Code = "internal"        // our mistake
)

// Error is a refusal or failure of a rule. Reason is a stable word for
// programs, Message a sentence that is safe to show, and Err the cause, which
// never leaves the log.
type Error struct {
	Code       Code
	Reason     string
	Message    string
	SessionEnd EndReason     // why the session had ended, when that is the reason
	RetryAfter time.Duration // when to try again; zero if unknown
	Challenge  *Challenge    // what would help, where more is to be proved
	Quota      Quota         // which limit it was, if it was one
	Err        error
}

// Error returns the reason, the message and the cause: text for a log.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Reason, e.Message, e.Err)
	}
	return e.Reason + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrReused) true for any Error of the same reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// AsError returns err as an Error. One without a Code is Internal, and its
// text stays inside.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Reason: "internal", Message: "Something went wrong on our side.", Err: err}
}

// Refusals. Compare with errors.Is; the values returned carry more detail.
var (
	ErrTokenMalformed     = &Error{Code: Unauthenticated, Reason: "refresh_token_malformed", Message: "This is not a refresh token of this server."}
	ErrSessionUnknown     = &Error{Code: Unauthenticated, Reason: "session_unknown", Message: "The session does not exist any more."}
	ErrSessionExpired     = &Error{Code: Unauthenticated, Reason: "session_expired", Message: "The session has expired. Log in again."}
	ErrSessionRevoked     = &Error{Code: Unauthenticated, Reason: "session_revoked", Message: "The session was ended. Log in again."}
	ErrTokenReused        = &Error{Code: Unauthenticated, Reason: "refresh_token_reused", Message: "This refresh token was exchanged before, so two hands hold it. The session was ended for safety."}
	ErrStepUpRequired     = &Error{Code: Denied, Reason: "step_up_required", Message: "The session is on hold until you prove that it is you."}
	ErrSuperseded         = &Error{Code: Conflict, Reason: "refresh_superseded", Message: "A newer refresh token is already in use. Try again with that one."}
	ErrAccessToken        = &Error{Code: Unauthenticated, Reason: "access_token_invalid", Message: "The access token is missing, expired or not valid."}
	ErrInvalidCredentials = &Error{Code: Unauthenticated, Reason: "invalid_credentials", Message: "The mail address or the password is wrong."}
	ErrUserDisabled       = &Error{Code: Denied, Reason: "user_disabled", Message: "This account is disabled."}
	ErrUserExists         = &Error{Code: Conflict, Reason: "user_exists", Message: "There is an account with this mail address."}
	ErrSignupClosed       = &Error{Code: Denied, Reason: "signup_closed", Message: "New accounts are made by the operator."}
	ErrSignupInvite       = &Error{Code: Denied, Reason: "signup_invite_required", Message: "New accounts need an invitation, sent to this very address."}
	ErrSignupDomain       = &Error{Code: Denied, Reason: "signup_domain", Message: "New accounts are only for certain mail domains."}
	ErrLinkInvalid        = &Error{Code: Invalid, Reason: "link_invalid", Message: "This link has been used, has expired, or was asked for in another browser. Ask for a new one."}
	ErrMailDisabled       = &Error{Code: Denied, Reason: "mail_disabled", Message: "This service sends no mail."}
	ErrNoSuchUser         = &Error{Code: NotFound, Reason: "user_unknown", Message: "No such user."}
	ErrNoSuchSession      = &Error{Code: NotFound, Reason: "session_not_found", Message: "No such session."}
	ErrTooManyAttempts    = &Error{Code: RateLimited, Reason: "too_many_attempts", Message: "Too many attempts. Wait a while and try again."}
	ErrInvalidClient      = &Error{Code: Unauthenticated, Reason: "invalid_client", Message: "The client is unknown, or did not prove who it is."}
	ErrInvalidGrant       = &Error{Code: Invalid, Reason: "invalid_grant", Message: "The code is unknown, used, expired, or another client's."}
	ErrInvalidScope       = &Error{Code: Invalid, Reason: "invalid_scope", Message: "The client may not have this scope, or it was not granted."}
	ErrInvalidTarget      = &Error{Code: Invalid, Reason: "invalid_target", Message: "The client may not have tokens for this resource, or they were granted for another one."}
	ErrUnauthorizedClient = &Error{Code: Invalid, Reason: "unauthorized_client", Message: "The client is not registered for this grant type."}
	ErrUnsupportedGrant   = &Error{Code: Invalid, Reason: "unsupported_grant_type", Message: "This server has the grant types authorization_code, refresh_token and client_credentials."}
	ErrInsufficientScope  = &Error{Code: Denied, Reason: "insufficient_scope", Message: "The access token lacks the scope that this needs."}
	ErrRedirectURI        = &Error{Code: Invalid, Reason: "redirect_uri_unregistered", Message: "The application asked to send you to an address that it has not registered."}
	ErrRequestExpired     = &Error{Code: Invalid, Reason: "request_expired", Message: "The request of the application has expired. Go back there and begin again."}
	ErrNoSuchClient       = &Error{Code: NotFound, Reason: "client_unknown", Message: "No such client."}
	ErrClientExists       = &Error{Code: Conflict, Reason: "client_exists", Message: "There is a client with this id."}
	ErrOverloaded         = &Error{Code: Unavailable, Reason: "overloaded", Message: "Too many logins at once. Try again in a moment.", RetryAfter: 2 * time.Second}
	ErrStoreDown          = &Error{Code: Unavailable, Reason: "store_unavailable", Message: "The session store cannot be reached. Try again in a moment.", RetryAfter: time.Second}
	ErrKeysMissing        = &Error{Code: Unavailable, Reason: "keys_unavailable", Message: "The signing keys are not loaded yet. Try again in a moment.", RetryAfter: time.Second}
)

// invalid is a refusal of input, with a sentence that says what is wrong.
func invalid(reason, format string, args ...any) *Error {
	return &Error{Code: Invalid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// invalidRequest is the refusal that OAuth calls so.
func invalidRequest(format string, args ...any) *Error {
	return invalid("invalid_request", format, args...)
}

// because returns a copy of e with a cause for the log.
func (e *Error) because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// outage turns a store's error into the refusal that clears no cookie and
// logs nobody out. Errors that already carry a code pass.
func outage(operation string, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return ErrStoreDown.because(fmt.Errorf("%s: %w", operation, err))
}
