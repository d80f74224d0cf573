package bitjang

import (
	"context"
	"net/netip"
	"time"
)

// EventType names a security fact, in a word that stays the same for ever.
type EventType string

// The events. A usual refresh is none: nothing grows with it.
const (
	EventSignup          EventType = "signup"
	EventSignupRepeated  EventType = "signup_repeated" // somebody signed up with an address that has an account
	EventLogin           EventType = "login"
	EventLoginFailed     EventType = "login_failed"
	EventLoginLimited    EventType = "login_limited"  // too many wrong passwords; Reason: the limit
	EventLoginUnlocked   EventType = "login_unlocked" // the operator has lifted that
	EventPasswordChanged EventType = "password_changed"
	EventUserChanged     EventType = "user_changed"
	EventUserDisabled    EventType = "user_disabled"
	EventUserEnabled     EventType = "user_enabled"
	EventEmailVerified   EventType = "email_verified"
	EventEmailAsked      EventType = "email_change_requested"
	EventEmailChanged    EventType = "email_changed"
	EventResetAsked      EventType = "password_reset_requested"
	EventLoginLinkAsked  EventType = "login_link_requested"
	EventNewDevice       EventType = "new_device"
	EventDisowned        EventType = "session_disowned" // "this wasn't me"
	EventDeletionAsked   EventType = "deletion_scheduled"
	EventDeletionUndone  EventType = "deletion_cancelled"
	EventExported        EventType = "data_exported"
	EventInvited         EventType = "invited"
	EventSessionEnded    EventType = "session_ended"
	EventSessionsEnded   EventType = "sessions_ended"
	EventSessionHeld     EventType = "session_held"
	EventRisk            EventType = "risk" // something about a session's use had changed; Reason: the answer, Detail: the signals
	EventRefreshReuse    EventType = "refresh_token_reuse"
	EventRefreshRecover  EventType = "refresh_recovered" // a lost response was made good
	EventRefreshAhead    EventType = "store_rollback"    // a token newer than the store came back
	EventFactorAdded     EventType = "factor_added"
	EventFactorRemoved   EventType = "factor_removed"
	EventFactorFailed    EventType = "factor_failed"  // a wrong code, or one that was used
	EventPasskeyCloned   EventType = "passkey_cloned" // its counter went back: two devices have the key
	EventStepUp          EventType = "step_up"        // the user has proved more
	EventHoldLifted      EventType = "hold_lifted"    // the same, and the session goes on
	EventClientSession   EventType = "client_session" // a client was given a session; Reason: the client's id
	EventConsent         EventType = "consent_given"  // Reason: the client's id, here and below
	EventConsentTaken    EventType = "consent_withdrawn"
	EventClientAdded     EventType = "client_added" // Reason: the client's id, here and below
	EventClientRotated   EventType = "client_secret_rotated"
	EventClientRemoved   EventType = "client_removed"
	EventSessionRenewed  EventType = "session_renewed" // an expired refresh token, renewed by a valid access token

	// EventCredentialStuffing concerns no user: logins fail at many accounts.
	// Reason is the network, or "everywhere"; Count how many accounts.
	EventCredentialStuffing EventType = "credential_stuffing"
)

// Event is one line of the audit trail. It never holds a secret.
type Event struct {
	ID        int64 // set by the store, growing
	At        time.Time
	Type      EventType
	UserID    string
	SessionID SessionID
	IP        netip.Addr
	UserAgent string
	Reason    string // an EndReason or another stable word
	Count     int    // how many sessions, for sessions_ended
	Seal      []byte // chains the audit trail, see VerifyAudit; empty while the event is new
	Detail    string // facts in short, "country_changed=KR>US"; at most 512 bytes
}

const maxEventDetail = 512

// maxPage bounds every listing.
const maxPage = 100

// Activity returns a user's events, newest first: those with ids below before
// (0 for the newest), at most limit (1 to 100, 0 means 50).
func (s *Service) Activity(ctx context.Context, userID string, before int64, limit int) ([]Event, error) {
	if limit == 0 {
		limit = 50
	}
	if before < 0 || limit < 1 || limit > maxPage {
		return nil, invalid("cursor_invalid", "The cursor is a number from the page before and the limit is 1 to %d.", maxPage)
	}
	events, err := s.events.Events(ctx, userID, before, limit)
	if err != nil {
		return nil, outage("list events", err)
	}
	return events, nil
}

// Signals are what was noticed, from the Detail of an event about risk.
func (e *Event) Signals() []Signal { return parseRiskDetail(e.Detail) }

// Actor says who was behind an event: "user", "operator", "service", or
// "unknown" where anybody may have been.
func (e *Event) Actor() string {
	switch e.Type {
	case EventLoginFailed, EventLoginLimited, EventFactorFailed, EventSignupRepeated, EventResetAsked, EventLoginLinkAsked, EventCredentialStuffing:
		return "unknown"
	case EventUserDisabled, EventUserEnabled, EventInvited, EventLoginUnlocked:
		return "operator"
	case EventRefreshReuse, EventRefreshRecover, EventRefreshAhead, EventSessionHeld, EventRisk, EventNewDevice, EventPasskeyCloned:
		return "service"
	case EventSessionEnded, EventSessionsEnded:
		switch EndReason(e.Reason) {
		case EndedByAdmin, EndedByDisabled:
			return "operator"
		case EndedByLimit, EndedByRisk, EndedByReuse, EndedByStranger, EndedByReplaced, EndedByHold:
			return "service"
		}
	}
	if !e.IP.IsValid() {
		return "operator"
	}
	return "user"
}

// Outcome says how it went: "success", "failure" (a wrong proof), "refused" (by
// a rule), "held", "ended", or what the risk policy answered.
func (e *Event) Outcome() string {
	switch e.Type {
	case EventLoginFailed, EventFactorFailed:
		return "failure"
	case EventLoginLimited, EventRefreshReuse, EventSignupRepeated, EventCredentialStuffing, EventPasskeyCloned:
		return "refused"
	case EventSessionHeld:
		return "held"
	case EventSessionEnded, EventSessionsEnded:
		return "ended"
	case EventRisk:
		return e.Reason
	}
	return "success"
}

// record saves events. A fact that cannot be saved is logged whole instead: it
// must not be lost, and it must not undo what has already happened.
func (s *Service) record(ctx context.Context, events ...Event) {
	for i := range events {
		events[i].At = s.clock()
		events[i].UserAgent = clip(events[i].UserAgent, maxUserAgent)
		events[i].Detail = clip(events[i].Detail, maxEventDetail)
	}
	// The caller may hang up; the fact stays a fact.
	err := s.events.InsertEvents(context.WithoutCancel(ctx), events...)
	if err == nil {
		return
	}
	for _, e := range events {
		s.log.Error("event not saved", "error", err, "type", e.Type, "user", e.UserID,
			"session", e.SessionID.String(), "ip", e.IP, "user_agent", e.UserAgent, "reason", e.Reason, "count", e.Count, "detail", e.Detail)
	}
}

// happened is an event about a session, as seen from a caller.
func happened(t EventType, sess *Session, from Caller, reason string) Event {
	return Event{Type: t, UserID: sess.UserID, SessionID: sess.ID, IP: from.IP, UserAgent: from.Device.UserAgent, Reason: reason}
}

// by is an event about a user, as seen from a caller.
func by(from Caller, t EventType, userID string) Event {
	return Event{Type: t, UserID: userID, IP: from.IP, UserAgent: from.Device.UserAgent}
}
