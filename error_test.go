package bitjang

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// refusals are all the errors that the package exports, by their words. The
// words and codes are a contract: clients branch on them.
func refusals() map[string]*Error {
	return map[string]*Error{
		"unauthenticated refresh_token_malformed": ErrTokenMalformed,
		"unauthenticated session_unknown":         ErrSessionUnknown,
		"unauthenticated session_expired":         ErrSessionExpired,
		"unauthenticated session_revoked":         ErrSessionRevoked,
		"unauthenticated refresh_token_reused":    ErrTokenReused,
		"denied step_up_required":                 ErrStepUpRequired,
		"conflict refresh_superseded":             ErrSuperseded,
		"unauthenticated access_token_invalid":    ErrAccessToken,
		"unauthenticated invalid_credentials":     ErrInvalidCredentials,
		"denied user_disabled":                    ErrUserDisabled,
		"conflict user_exists":                    ErrUserExists,
		"denied signup_closed":                    ErrSignupClosed,
		"not_found user_unknown":                  ErrNoSuchUser,
		"not_found session_not_found":             ErrNoSuchSession,
		"unavailable overloaded":                  ErrOverloaded,
		"unavailable store_unavailable":           ErrStoreDown,
		"unavailable keys_unavailable":            ErrKeysMissing,
		"unavailable contended":                   errContended,
	}
}

func TestCodesAndReasonsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for want, e := range refusals() {
		if got := string(e.Code) + " " + e.Reason; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if e.Message == "" || e.Err != nil {
			t.Errorf("%s: needs a message and no cause", want)
		}
		if e.Code == Unavailable && e.RetryAfter <= 0 {
			t.Errorf("%s: says nothing about when to try again", want)
		}
	}
}

func TestErrorsAreToldApartByReason(t *testing.T) {
	t.Parallel()
	all := refusals()
	for a, e := range all {
		for b, other := range all {
			wrapped := fmt.Errorf("refresh: %w", e.because(context.Canceled))
			if got := errors.Is(wrapped, other); got != (a == b) {
				t.Errorf("errors.Is(%s, %s): got %v", a, b, got)
			}
		}
		if !errors.Is(e.because(context.Canceled), context.Canceled) {
			t.Errorf("%s: lost its cause", a)
		}
		if e.Err != nil {
			t.Errorf("%s: because changed the original", a)
		}
	}
	if errors.Is(ErrStoreDown, ErrNotFound) {
		t.Error("an outage is taken for a missing record")
	}
}

func TestAnErrorWithoutACodeIsInternalAndKeepsItsTextInside(t *testing.T) {
	t.Parallel()
	cause := errors.New("pq: password authentication failed for user root")
	got := AsError(cause)
	if got.Code != Internal || got.Reason != "internal" || strings.Contains(got.Message, "root") {
		t.Errorf("got %+v, want internal and nothing of the cause in the message", got)
	}
	if !errors.Is(got, cause) {
		t.Error("the log has lost the cause")
	}
	if got := AsError(fmt.Errorf("x: %w", ErrSuperseded)); got != ErrSuperseded {
		t.Errorf("got %v, want the error inside", got)
	}
}

func TestAnOutageIsNeverARefusal(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{errors.New("connection refused"), context.Canceled, context.DeadlineExceeded, ErrNotFound, ErrConflict, ErrExists} {
		got := outage("load session", cause)
		if AsError(got).Code != Unavailable || !errors.Is(got, cause) || !errors.Is(got, ErrStoreDown) {
			t.Errorf("%v: got %v, want unavailable because of it", cause, got)
		}
		if strings.Contains(AsError(got).Message, cause.Error()) {
			t.Errorf("%v: the message shows it", cause)
		}
	}
	if got := outage("x", ErrOverloaded); got != error(ErrOverloaded) {
		t.Errorf("got %v, want an error with a code unchanged", got)
	}
}
