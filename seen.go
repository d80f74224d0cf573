package bitjang

import (
	"context"
	"errors"
)

// Sighting is an access token that a resource server has met: it was minted with
// a refresh token of this generation.
type Sighting struct {
	SessionID  SessionID
	Generation uint32
}

// Saw notes sightings that verifiers report. The first of a confirmed token's
// child shows that the child has arrived, so that after grace its parent is
// exchanged for nobody any more (docs/rotation.md, row 7). What comes too late,
// or is about no session, is nobody's mistake.
func (s *Service) Saw(ctx context.Context, list []Sighting) error {
	for _, seen := range list {
		sess, err := s.sessions.Session(ctx, seen.SessionID)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return outage("load session", err)
		}
		s.noteSeen(ctx, &sess, seen.Generation)
	}
	return nil
}

// noteSeen saves a sighting if it is one. Lazily: if somebody else has moved the
// session, nothing is lost but the sighting.
func (s *Service) noteSeen(ctx context.Context, sess *Session, generation uint32) {
	now := s.clock()
	if sess.stateAt(now) == stateEnded || !sess.sawChild(generation, now) {
		return
	}
	if err := s.sessions.UpdateSession(ctx, *sess, nil); err == nil {
		sess.Version++
	}
}
