package bitjang

import (
	"context"
	"slices"
	"time"
)

// Explanation says why a session gives nobody tokens any more, or that it does.
// The words for it belong to the edges.
type Explanation struct {
	Session Session
	State   string    // "active", "held", "expired" or "ended"
	Reason  string    // the EndReason or what it is held for; "idle" or "too_old" for an expired one
	At      time.Time // since when; zero for an active one
	Event   *Event    // what caused it, if that is still known
	Signals []Signal  // what the risk policy had noticed
}

// Explain answers "why was I logged out?" for the sessions of a user, what
// happened last first. With a session it is about that one alone.
func (s *Service) Explain(ctx context.Context, userID string, only SessionID) ([]Explanation, error) {
	list, err := s.listSessions(ctx, userID, func(sessionState) bool { return true })
	if err != nil {
		return nil, err
	}
	events, err := s.Activity(ctx, userID, 0, maxPage)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	var out []Explanation
	for _, sess := range list {
		if only.IsZero() || sess.ID == only {
			out = append(out, explain(sess, events, now))
		}
	}
	slices.SortStableFunc(out, func(a, b Explanation) int { return b.At.Compare(a.At) })
	return out, nil
}

// Asked says that the user wanted it so, or that nothing has happened: no news to
// them.
func (x *Explanation) Asked() bool {
	switch EndReason(x.Reason) {
	case EndedByLogout, EndedByLogoutAll, EndedByUser, EndedByReplaced, EndedByDisowner, EndedByDeletion, EndedByConsent, EndedByClient:
		return true
	}
	return x.State == "active"
}

func explain(sess Session, events []Event, now time.Time) Explanation {
	x := Explanation{Session: sess, State: sess.StateAt(now)}
	switch x.State {
	case "ended":
		x.Reason, x.At = string(sess.EndReason), sess.EndedAt
	case "held":
		x.Reason, x.At = sess.HeldFor, sess.HeldAt
	case "expired":
		x.Reason, x.At = "idle", sess.DeadSince()
		if sess.holdExpired(now) {
			x.Reason = string(EndedByHold)
		}
		if !now.Before(sess.ExpiresAt) && !sess.IdleExpiresAt.Before(sess.ExpiresAt) {
			x.Reason = "too_old"
		}
	default:
		return x
	}
	for i := range events { // the newest first
		if e := &events[i]; causes(e, &x) {
			x.Event, x.Signals = e, parseRiskDetail(e.Detail)
			break
		}
	}
	return x
}

// causes says whether an event is what an explanation is about. One that ended
// several sessions names none of them.
func causes(e *Event, x *Explanation) bool {
	switch e.Type {
	case EventSessionEnded, EventSessionHeld:
		return e.SessionID == x.Session.ID && e.Reason == x.Reason
	case EventRisk:
		return e.SessionID == x.Session.ID && x.Reason == string(EndedByRisk)
	case EventSessionsEnded:
		return e.Reason == x.Reason && e.At.Sub(x.At).Abs() < time.Minute
	}
	return false
}
