package bitjang

import (
	"context"
	"errors"
	"slices"
)

// maxListed bounds how many sessions of one user are looked at for a listing.
const maxListed = 1000

// Sessions lists a user's live sessions, held ones too, last seen first.
func (s *Service) Sessions(ctx context.Context, userID string) ([]Session, error) {
	return s.listSessions(ctx, userID, func(st sessionState) bool { return st == stateActive || st == stateHeld })
}

// EndedSessions lists a user's ended and expired sessions that are still kept,
// last seen first.
func (s *Service) EndedSessions(ctx context.Context, userID string) ([]Session, error) {
	return s.listSessions(ctx, userID, func(st sessionState) bool { return st == stateEnded || st == stateExpired })
}

func (s *Service) listSessions(ctx context.Context, userID string, want func(sessionState) bool) ([]Session, error) {
	var list []Session
	now := s.clock()
	for after := (SessionID{}); len(list) < maxListed; {
		page, err := s.sessions.Sessions(ctx, SessionQuery{UserID: userID, After: after, Limit: maxPage})
		if err != nil {
			return nil, outage("list sessions", err)
		}
		for _, sess := range page {
			if want(sess.stateAt(now)) {
				list = append(list, sess)
			}
		}
		if len(page) < maxPage {
			break
		}
		after = page[len(page)-1].ID
	}
	slices.SortStableFunc(list, func(a, b Session) int { return b.LastSeenAt.Compare(a.LastSeenAt) })
	return list, nil
}

// SessionByID returns any session that is still kept.
func (s *Service) SessionByID(ctx context.Context, id SessionID) (Session, error) {
	return s.changeSession(ctx, id, func(*Session) bool { return false })
}

// EndSessionInput names a session to end. UserID guards it: somebody else's
// session is not found. The operator may leave it empty.
type EndSessionInput struct {
	UserID string
	ID     SessionID
	Reason EndReason
	Caller Caller
}

// EndSession ends one session. Ending a dead one is no error; but it asks the
// store all the same, which may have answered an outage for an end that it has
// made and that is not safe yet.
func (s *Service) EndSession(ctx context.Context, in EndSessionInput) error {
	sess, err := s.SessionByID(ctx, in.ID)
	if err != nil {
		return err
	}
	if in.UserID != "" && sess.UserID != in.UserID {
		return ErrNoSuchSession
	}
	if err := s.endOne(ctx, &sess, in.Reason, in.Caller); err != nil {
		return err
	}
	return s.takeAlong(ctx, &sess, in.Reason, in.Caller)
}

func (s *Service) endOne(ctx context.Context, sess *Session, why EndReason, from Caller) error {
	f := EndFilter{UserID: sess.UserID, Only: sess.ID, At: s.clock(), Reason: why}
	n, err := s.sessions.EndSessions(ctx, f)
	if err != nil {
		return outage("end session", err)
	}
	if n > 0 {
		s.record(ctx, happened(EventSessionEnded, sess, from, string(why)))
		s.notice(ctx, sess)
	}
	return nil
}

// EndSessionsInput names all sessions of a user, or all but one.
type EndSessionsInput struct {
	UserID string
	Except SessionID // spare this one, if set
	Reason EndReason
	Caller Caller
}

// EndSessions ends all or all other sessions of a user in one step, and
// returns how many there were.
func (s *Service) EndSessions(ctx context.Context, in EndSessionsInput) (int, error) {
	return s.endSessions(ctx, EndFilter{UserID: in.UserID, Except: in.Except, Reason: in.Reason}, in.Caller)
}

func (s *Service) endSessions(ctx context.Context, f EndFilter, from Caller) (int, error) {
	// Whom to tell has to be known before: afterwards nobody can say which ended now.
	list, err := s.listSessions(ctx, f.UserID, func(st sessionState) bool { return st != stateEnded })
	if err != nil {
		return 0, err
	}
	f.At = s.clock()
	n, err := s.sessions.EndSessions(ctx, f)
	if err != nil {
		return 0, outage("end sessions", err)
	}
	if n > 0 {
		s.record(ctx, Event{Type: EventSessionsEnded, UserID: f.UserID, IP: from.IP, UserAgent: from.Device.UserAgent, Reason: string(f.Reason), Count: n})
	}
	for i := range list {
		if list[i].ID != f.Except && (f.DeviceID == "" || f.DeviceID == list[i].Device.ID) {
			s.notice(ctx, &list[i])
		}
	}
	return n, nil
}

// NameSession gives a device of the user's a name.
func (s *Service) NameSession(ctx context.Context, userID string, id SessionID, name string) (Session, error) {
	name, err := checkName(name)
	if err != nil {
		return Session{}, err
	}
	foreign := false
	sess, err := s.changeSession(ctx, id, func(sess *Session) bool {
		foreign = sess.UserID != userID
		sess.Device.Name = name
		return !foreign
	})
	if err == nil && foreign {
		return Session{}, ErrNoSuchSession
	}
	return sess, err
}

// LogoutInput carries either token of the session to end.
type LogoutInput struct {
	Access  Secret
	Refresh Secret
	Caller  Caller
}

// Logout ends the session of either token. Any genuine refresh token of the
// session will do, however old: whoever holds it, ending is safe. A session
// that is gone already is no error.
func (s *Service) Logout(ctx context.Context, in LogoutInput) error {
	id, err := s.sessionOf(ctx, in.Access, in.Refresh)
	if err != nil {
		return err
	}
	err = s.EndSession(ctx, EndSessionInput{ID: id, Reason: EndedByLogout, Caller: in.Caller})
	if errors.Is(err, ErrNoSuchSession) {
		return nil
	}
	return err
}

func (s *Service) sessionOf(ctx context.Context, access, refresh Secret) (SessionID, error) {
	t, refreshErr := s.ring.parse(refresh)
	if refreshErr == nil {
		return t.session, nil
	}
	claims, err := s.checkAccess(ctx, access)
	switch {
	case err == nil:
	case access.IsZero() && !refresh.IsZero():
		return SessionID{}, refreshErr
	default:
		return SessionID{}, err
	}
	id, err := ParseSessionID(claims.SessionID)
	if err != nil {
		return SessionID{}, ErrAccessToken.because(err)
	}
	return id, nil
}
