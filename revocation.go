package bitjang

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Revocation is one entry of the feed: what has become of a session whose
// access tokens have not expired yet.
type Revocation struct {
	SessionID SessionID
	At        time.Time
	State     RevocationState
	Reason    string // the EndReason, or what the session is held for
}

// RevocationState says what has become of a session, in a word that stays the
// same for ever.
type RevocationState string

// The states.
const (
	RevocationEnded  RevocationState = "ended"  // for good
	RevocationHeld   RevocationState = "held"   // until step-up
	RevocationLifted RevocationState = "lifted" // good again after a hold
)

// revocation is the entry that a change from before to after asks for, or nil.
// A session that has ended has nothing more to tell.
func revocation(before, after *Session, now time.Time) *Revocation {
	switch {
	case !before.EndedAt.IsZero():
		return nil
	case !after.EndedAt.IsZero():
		return &Revocation{SessionID: after.ID, At: after.EndedAt, State: RevocationEnded, Reason: string(after.EndReason)}
	case before.HeldAt.IsZero() && !after.HeldAt.IsZero():
		return &Revocation{SessionID: after.ID, At: after.HeldAt, State: RevocationHeld, Reason: after.HeldFor}
	case !before.HeldAt.IsZero() && after.HeldAt.IsZero():
		return &Revocation{SessionID: after.ID, At: now, State: RevocationLifted}
	}
	return nil
}

const (
	// followEvery is how often a node looks at the feed. All of them know of an
	// ended session within a second, also after a look that came to nothing.
	followEvery = 250 * time.Millisecond
	followPage  = 1000
	// feedMargin is how much longer than an access token an entry is kept, for
	// clocks that disagree and readers that were cut off for a moment.
	feedMargin = time.Minute
)

// revoked is what this node has read of the feed: no more than the sessions
// ended within the lifetime of an access token.
type revoked struct {
	mu     sync.RWMutex
	byID   map[SessionID]Revocation
	cursor string // where to go on; only readFeed touches it
}

func (r *revoked) get(id SessionID) (Revocation, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	found, ok := r.byID[id]
	return found, ok
}

func (r *revoked) add(list []Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[SessionID]Revocation{}
	}
	for _, entry := range list {
		if entry.State == RevocationLifted {
			delete(r.byID, entry.SessionID)
		} else {
			r.byID[entry.SessionID] = entry
		}
	}
}

// forget drops entries older than t.
func (r *revoked) forget(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, entry := range r.byID {
		if entry.At.Before(t) {
			delete(r.byID, id)
		}
	}
}

func (r *revoked) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byID)
}

// Revoked tells whether this node has heard that a session has ended or is
// held, without asking the store. Run follows the feed; a node is up to a
// second behind.
func (s *Service) Revoked(id SessionID) (Revocation, bool) { return s.revoked.get(id) }

// Revocations reads the feed, for those who check access tokens without a
// store: see RevocationStore, also for ErrCursor. It reaches back as far as
// access tokens live.
func (s *Service) Revocations(ctx context.Context, after string, limit int) ([]Revocation, string, error) {
	list, next, err := s.sessions.Revocations(ctx, after, limit)
	switch {
	case errors.Is(err, ErrCursor):
		return nil, "", ErrCursor
	case err != nil:
		return nil, "", outage("read the revocation feed", err)
	}
	return list, next, nil
}

// readFeed takes in what is new in the feed. Run does it four times a second,
// for this node and for everybody who follows the feed through it.
func (s *Service) readFeed(ctx context.Context) error {
	for {
		list, next, err := s.sessions.Revocations(ctx, s.revoked.cursor, followPage)
		if err != nil {
			return outage("read the revocation feed", err)
		}
		s.revoked.add(list)
		s.revoked.cursor = next
		s.hub.add(list, next, s.clock())
		if len(list) < followPage {
			s.hub.caughtUp(s.clock())
			return nil
		}
	}
}

// feedHorizon is the age from which no valid access token can be concerned by
// an entry.
func (s *Service) feedHorizon() time.Time { return s.clock().Add(-s.cfg.AccessTTL - feedMargin) }

// runFeed follows the feed until ctx ends. It says once that the store does not
// answer, and once that it does again.
func (s *Service) runFeed(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	defer s.hub.open()()
	down := false
	for {
		err := s.readFeed(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !down:
			s.log.Error("revocation feed not read", "error", err)
		case err == nil && down:
			s.log.Info("revocation feed read again")
		}
		down = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
