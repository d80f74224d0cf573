package bitjang

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EndedByMove marks a session that lives in another store by now. Nobody but
// Moving sees it.
const EndedByMove EndReason = "moved"

// Moving is a SessionStore in two places while sessions move from one to the
// other. A session is at home in exactly one of them. New ones go to Home; what
// is not there, or is marked as moved, is looked for in Other. So services with
// the two the other way round agree on where everything is, and all of them can
// be restarted one by one: see docs/stores.md.
type Moving struct {
	Home, Other SessionStore
}

var _ SessionStore = Moving{}

// errInTransit is for a session that has left one place and not reached the
// other: a matter of milliseconds, unless the move was cut off there.
var errInTransit = errors.New("bitjang: the session is just being moved to another store")

func (m Moving) both() [2]SessionStore { return [2]SessionStore{m.Home, m.Other} }

// locate finds the store that a session is at home in, and the session.
func (m Moving) locate(ctx context.Context, id SessionID) (SessionStore, Session, error) {
	left := false
	for _, st := range m.both() {
		sess, err := st.Session(ctx, id)
		switch {
		case err == nil && sess.EndReason != EndedByMove:
			return st, sess, nil
		case err == nil:
			left = true
		case !errors.Is(err, ErrNotFound):
			return nil, Session{}, err
		}
	}
	if !left {
		return nil, Session{}, ErrNotFound
	}
	// It may have arrived in Home after we looked there.
	if sess, err := m.Home.Session(ctx, id); err == nil && sess.EndReason != EndedByMove {
		return m.Home, sess, nil
	}
	return nil, Session{}, errInTransit
}

// InsertSession implements SessionStore.
func (m Moving) InsertSession(ctx context.Context, s Session) error {
	return m.Home.InsertSession(ctx, s)
}

// Session implements SessionStore.
func (m Moving) Session(ctx context.Context, id SessionID) (Session, error) {
	_, sess, err := m.locate(ctx, id)
	return sess, err
}

// ConfirmSession implements SessionStore. Where a session is not at home it is
// missing or ended, so at most one of the two can confirm.
func (m Moving) ConfirmSession(ctx context.Context, c Confirmation) (Session, error) {
	sess, err := m.Home.ConfirmSession(ctx, c)
	if errors.Is(err, ErrConflict) {
		sess, err = m.Other.ConfirmSession(ctx, c)
	}
	return sess, err
}

// UpdateSession implements SessionStore. It looks where the session is at home
// first: the mark of a move has a version too.
func (m Moving) UpdateSession(ctx context.Context, s Session, tell *Revocation) error {
	st, _, err := m.locate(ctx, s.ID)
	if errors.Is(err, ErrNotFound) {
		return ErrConflict
	} else if err != nil {
		return err
	}
	return st.UpdateSession(ctx, s, tell)
}

// Sessions implements SessionStore.
func (m Moving) Sessions(ctx context.Context, q SessionQuery) ([]Session, error) {
	var all []Session
	for _, st := range m.both() {
		list, err := atHome(ctx, st, q)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b Session) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	// What moved while we looked may be there twice.
	all = slices.CompactFunc(all, func(a, b Session) bool { return a.ID == b.ID })
	return all[:min(len(all), q.Limit)], nil
}

// atHome fills a page with the sessions of one store that have not moved away.
func atHome(ctx context.Context, st SessionStore, q SessionQuery) ([]Session, error) {
	var list []Session
	for {
		page, err := st.Sessions(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if s.EndReason != EndedByMove {
				list = append(list, s)
			}
		}
		if len(page) < q.Limit || len(list) >= q.Limit {
			return list, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// EndSessions implements SessionStore. What is at home in either store ends at
// once and can move no more. A session that is in transit by then is in neither:
// it is waited for, and ended where it has arrived.
func (m Moving) EndSessions(ctx context.Context, f EndFilter) (int, error) {
	before, err := m.endOnce(ctx, f)
	if err != nil {
		return before, err
	}
	if err := m.settle(ctx, f.UserID); err != nil {
		return before, err
	}
	after, err := m.endOnce(ctx, f)
	return before + after, err
}

// settle waits until no session of a user is in transit.
func (m Moving) settle(ctx context.Context, userID string) error {
	for range 100 {
		transit, err := m.inTransit(ctx, userID)
		if err != nil || !transit {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errInTransit
}

func (m Moving) endOnce(ctx context.Context, f EndFilter) (int, error) {
	home, err := m.Home.EndSessions(ctx, f)
	if err != nil {
		return home, err
	}
	other, err := m.Other.EndSessions(ctx, f)
	return home + other, err
}

// inTransit reports whether any session of a user has left without arriving.
func (m Moving) inTransit(ctx context.Context, userID string) (bool, error) {
	for _, st := range m.both() {
		q := SessionQuery{UserID: userID, Limit: maxPage}
		for {
			page, err := st.Sessions(ctx, q)
			if err != nil {
				return false, err
			}
			for _, s := range page {
				if s.EndReason != EndedByMove {
					continue
				}
				if _, _, err := m.locate(ctx, s.ID); errors.Is(err, errInTransit) {
					return true, nil
				} else if err != nil && !errors.Is(err, ErrNotFound) {
					return false, err
				}
			}
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].ID
		}
	}
	return false, nil
}

// DeleteSessions implements SessionStore.
func (m Moving) DeleteSessions(ctx context.Context, t time.Time, limit int) (int, bool, error) {
	removed, more := 0, false
	for _, st := range m.both() {
		n, again, err := st.DeleteSessions(ctx, t, limit)
		if err != nil {
			return removed, false, err
		}
		removed, more = removed+n, more || again
	}
	return removed, more, nil
}

// EverySession implements SessionStore. It walks through Home and then Other,
// and skips the marks.
func (m Moving) EverySession(ctx context.Context, after string, limit int) ([]Session, string, error) {
	place, rest, _ := strings.Cut(after, "/")
	st := m.Home
	switch place {
	case "", "home":
	case "other":
		st = m.Other
	default:
		return nil, "", ErrCursor
	}
	page, next, err := st.EverySession(ctx, rest, limit)
	if err != nil {
		return nil, "", err
	}
	page = slices.DeleteFunc(page, func(s Session) bool { return s.EndReason == EndedByMove })
	switch {
	case next != "":
		next = cmp.Or(place, "home") + "/" + next
	case place != "other":
		next = "other/"
	}
	return page, next, nil
}

// Revocations implements SessionStore. Its cursor is one of each store's.
func (m Moving) Revocations(ctx context.Context, after string, limit int) ([]Revocation, string, error) {
	cursors := [2]string{}
	if after != "" {
		home, other, ok := strings.Cut(after, "/")
		if !ok {
			return nil, "", ErrCursor
		}
		cursors = [2]string{home, other}
	}
	var all []Revocation
	for i, st := range m.both() {
		list, next, err := st.Revocations(ctx, cursors[i], limit-len(all))
		if err != nil {
			return nil, "", err
		}
		all, cursors[i] = append(all, list...), next
		if len(all) >= limit {
			break
		}
	}
	return all, cursors[0] + "/" + cursors[1], nil
}

// DeleteRevocations implements SessionStore.
func (m Moving) DeleteRevocations(ctx context.Context, t time.Time, limit int) (int, error) {
	return m.deleteBoth(func(st SessionStore) (int, error) { return st.DeleteRevocations(ctx, t, limit) })
}

func (m Moving) deleteBoth(remove func(SessionStore) (int, error)) (int, error) {
	home, err := remove(m.Home)
	if err != nil {
		return home, err
	}
	other, err := remove(m.Other)
	return home + other, err
}

// InsertGrant implements SessionStore.
func (m Moving) InsertGrant(ctx context.Context, g Grant) error { return m.Home.InsertGrant(ctx, g) }

// ConsumeGrant implements SessionStore. Grants do not move: they are gone
// within the hour.
func (m Moving) ConsumeGrant(ctx context.Context, id GrantID, at time.Time) (Grant, error) {
	g, err := m.Home.ConsumeGrant(ctx, id, at)
	if errors.Is(err, ErrNotFound) {
		return m.Other.ConsumeGrant(ctx, id, at)
	}
	return g, err
}

// DeleteGrants implements SessionStore.
func (m Moving) DeleteGrants(ctx context.Context, t time.Time, limit int) (int, error) {
	return m.deleteBoth(func(st SessionStore) (int, error) { return st.DeleteGrants(ctx, t, limit) })
}

// Spend implements SessionStore. Limits do not move: they begin anew.
func (m Moving) Spend(ctx context.Context, s Spending) (time.Time, bool, error) {
	return m.Home.Spend(ctx, s)
}

// DeleteLimits implements SessionStore.
func (m Moving) DeleteLimits(ctx context.Context, t time.Time, limit int) (int, error) {
	return m.deleteBoth(func(st SessionStore) (int, error) { return st.DeleteLimits(ctx, t, limit) })
}

// Move says which sessions to move where.
type Move struct {
	From, To  SessionStore
	Retention time.Duration    // Config.SessionRetention of the services
	Now       func() time.Time // default time.Now
	Progress  func(moved int)  // called after every page, if set
}

// Run moves every session and returns how many. Services go on meanwhile, each
// with a Moving over the same two stores. It may be stopped and run again; when
// it returns 0, everything has moved.
func (mv Move) Run(ctx context.Context) (moved int, err error) {
	if mv.Now == nil {
		mv.Now = time.Now
	}
	const page = 500
	for after, more := "", true; more; more = after != "" {
		var list []Session
		if list, after, err = mv.From.EverySession(ctx, after, page); err != nil {
			return moved, fmt.Errorf("walk through the sessions: %w", err)
		}
		for _, s := range list {
			did, err := mv.one(ctx, s)
			if err != nil {
				return moved, fmt.Errorf("move session %s: %w", s.ID, err)
			}
			if did {
				moved++
			}
		}
		if mv.Progress != nil {
			mv.Progress(moved)
		}
	}
	return moved, nil
}

// one moves a session: first it is marked where it was, so that nobody changes
// it there any more, then it is written where it goes.
func (mv Move) one(ctx context.Context, s Session) (bool, error) {
	s, err := mv.mark(ctx, s)
	if errors.Is(err, ErrNotFound) {
		return false, nil // deleted meanwhile
	} else if err != nil {
		return false, err
	}
	if s.EndReason == EndedByMove {
		// Marked before, by a move that may have been cut off right then. If it
		// had arrived, it would still be there: nothing is deleted before it
		// has been dead for the retention.
		if mv.Now().Sub(s.EndedAt) >= mv.Retention {
			return false, nil
		}
		s.EndedAt, s.EndReason = time.Time{}, ""
	}
	err = mv.To.InsertSession(ctx, s)
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// moveAttempts bounds how often a session is tried that keeps changing. It is far
// beyond casAttempts: nobody waits for the move, and a session that is refreshed
// without a pause must not stop it.
const moveAttempts = 1000

// mark marks a session as moved and returns it as it was just before. One that
// has ended, or is marked already, is returned as it is.
func (mv Move) mark(ctx context.Context, s Session) (Session, error) {
	for range moveAttempts {
		if !s.EndedAt.IsZero() {
			return s, nil
		}
		marked := s
		marked.EndedAt, marked.EndReason = mv.Now().UTC().Truncate(time.Millisecond), EndedByMove
		err := mv.From.UpdateSession(ctx, marked, nil)
		if !errors.Is(err, ErrConflict) {
			return s, err
		}
		if s, err = mv.From.Session(ctx, s.ID); err != nil {
			return s, err
		}
	}
	return s, errContended
}
