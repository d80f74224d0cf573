package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/bitjang/bitjang"
)

// confirmedColumns are those that a Confirmation does not tell: it names some,
// and that the session has neither ended nor is held is its condition.
const confirmedColumns = `user_id, created_at, client_id, version, expires_at,
	auth_time, amr, acr, scope, audience, login_id, roles, device_id, device_name, user_agent, client_hints, ip, seen_before_at`

// moved is a session that a confirmation has moved, as far as its row tells.
type moved struct{ bitjang.Session }

func scanMoved(r row) (m moved, err error) {
	s := &m.Session
	err = r.Scan(fixedCol{s.ID[:]}, &s.UserID, timeCol{&s.CreatedAt}, &s.ClientID, &s.Version, timeCol{&s.ExpiresAt},
		timeCol{&s.AuthTime}, listCol{&s.AMR}, &s.ACR, &s.Scope, &s.Audience, fixedCol{s.LoginID[:]}, listCol{&s.Roles},
		&s.Device.ID, &s.Device.Name, &s.Device.UserAgent, hintsCol{&s.Device.Hints}, ipCol{&s.IP}, timeCol{&s.SeenBeforeAt})
	return m, err
}

// by completes the session from the confirmation that moved it.
func (m moved) by(c *bitjang.Confirmation) bitjang.Session {
	s := m.Session
	s.Rotation = bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now}
	s.LastSeenAt, s.IdleExpiresAt = c.Now, c.IdleExpiresAt
	return s
}

// ConfirmSession implements bitjang.SessionStore. Calls that come together
// share a commit, and the statement too except on SQLite.
func (s *Store) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	if c.Generation == 0 {
		return bitjang.Session{}, bitjang.ErrConflict // nothing comes before the first token
	}
	if s.queue != nil {
		return s.confirmOne(ctx, c)
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	work := &confirming{Confirmation: c}
	if err := s.confirms.do(ctx, work); err != nil {
		return bitjang.Session{}, err
	}
	return work.result, nil
}

func (s *Store) confirmOne(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	m, err := single(ctx, s, func(ctx context.Context, u unit) (moved, error) {
		return scanMoved(u.row(ctx, s.stmts.confirmSession,
			int64(c.Generation), c.Nonce[:], c.Parent[:], millis(c.Now), millis(c.IdleExpiresAt), c.ID[:]))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return bitjang.Session{}, bitjang.ErrConflict
	} else if err != nil {
		return bitjang.Session{}, err
	}
	return m.by(&c), nil
}

// confirming is a confirmation in a group.
type confirming struct {
	bitjang.Confirmation
	result bitjang.Session
}

// confirmAll confirms a group. A session may be in a statement only once: who
// comes second must see what the first has done.
func (s *Store) confirmAll(group []*job[*confirming]) {
	// Calls that gave up stay in: others wait for the statement all the same.
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	slices.SortStableFunc(group, func(a, b *job[*confirming]) int { return bytes.Compare(a.work.ID[:], b.work.ID[:]) })
	for rest := group; len(rest) > 0; {
		var now, later []*job[*confirming]
		for _, j := range rest {
			if len(now) > 0 && now[len(now)-1].work.ID == j.work.ID {
				later = append(later, j)
			} else {
				now = append(now, j)
			}
		}
		s.confirmDistinct(ctx, now)
		rest = later
	}
}

func (s *Store) confirmDistinct(ctx context.Context, group []*job[*confirming]) {
	work := make([]*confirming, len(group))
	for i, j := range group {
		work[i] = j.work
	}
	var list []moved
	err := s.again(ctx, func() (err error) {
		list, err = s.d.confirmGroup(ctx, s, work)
		return err
	})
	if err != nil {
		failAll(group, err)
		return
	}
	byID := make(map[bitjang.SessionID]moved, len(list))
	for _, m := range list {
		byID[m.ID] = m
	}
	for _, j := range group {
		m, ok := byID[j.work.ID]
		if !ok {
			j.err = bitjang.ErrConflict
			continue
		}
		j.work.result = m.by(&j.work.Confirmation)
	}
}
