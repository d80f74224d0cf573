package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/bitjang/bitjang"
)

// sessionColumns are in the order of scanSession and sessionValues.
const sessionColumns = `id, user_id, created_at, client_id, version,
	generation, nonce, parent, confirmed_at, child_at, child_seen_at,
	last_seen_at, idle_expires_at, expires_at, ended_at, end_reason, held_at, held_for,
	auth_time, amr, acr, scope, roles, device_id, device_name, user_agent, client_hints, ip`

type row interface{ Scan(dest ...any) error }

func scanSession(r row) (s bitjang.Session, err error) {
	err = r.Scan(fixedCol{s.ID[:]}, &s.UserID, timeCol{&s.CreatedAt}, &s.ClientID, &s.Version,
		&s.Generation, fixedCol{s.Nonce[:]}, fixedCol{s.Parent[:]}, timeCol{&s.ConfirmedAt}, timeCol{&s.ChildAt}, timeCol{&s.ChildSeenAt},
		timeCol{&s.LastSeenAt}, timeCol{&s.IdleExpiresAt}, timeCol{&s.ExpiresAt}, timeCol{&s.EndedAt}, &s.EndReason, timeCol{&s.HeldAt}, &s.HeldFor,
		timeCol{&s.AuthTime}, listCol{&s.AMR}, &s.ACR, &s.Scope, listCol{&s.Roles},
		&s.Device.ID, &s.Device.Name, &s.Device.UserAgent, hintsCol{&s.Device.Hints}, ipCol{&s.IP})
	return s, err
}

// confirmedColumns are those that a Confirmation does not tell: it names some,
// and that the session has neither ended nor is held is its condition.
const confirmedColumns = `user_id, created_at, client_id, version, expires_at,
	auth_time, amr, acr, scope, roles, device_id, device_name, user_agent, client_hints, ip`

func scanConfirmed(c bitjang.Confirmation, r row) (bitjang.Session, error) {
	s := bitjang.Session{
		ID:         c.ID,
		Rotation:   bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now},
		LastSeenAt: c.Now, IdleExpiresAt: c.IdleExpiresAt,
	}
	err := r.Scan(&s.UserID, timeCol{&s.CreatedAt}, &s.ClientID, &s.Version, timeCol{&s.ExpiresAt},
		timeCol{&s.AuthTime}, listCol{&s.AMR}, &s.ACR, &s.Scope, listCol{&s.Roles},
		&s.Device.ID, &s.Device.Name, &s.Device.UserAgent, hintsCol{&s.Device.Hints}, ipCol{&s.IP})
	return s, err
}

// sessionValues are the columns after created_at, and sweep_at.
func sessionValues(s *bitjang.Session) ([]any, error) {
	hints, err := hintsText(s.Device.Hints)
	return []any{s.ClientID, s.Version,
		int64(s.Generation), s.Nonce[:], s.Parent[:], millis(s.ConfirmedAt), millis(s.ChildAt), millis(s.ChildSeenAt),
		millis(s.LastSeenAt), millis(s.IdleExpiresAt), millis(s.ExpiresAt), millis(s.EndedAt), string(s.EndReason), millis(s.HeldAt), s.HeldFor,
		millis(s.AuthTime), list(s.AMR), s.ACR, s.Scope, list(s.Roles),
		s.Device.ID, s.Device.Name, s.Device.UserAgent, hints, ipText(s.IP), millis(s.DeadSince())}, err
}

// InsertSession implements bitjang.SessionStore.
func (s *Store) InsertSession(ctx context.Context, sess bitjang.Session) error {
	values, err := sessionValues(&sess)
	if err != nil {
		return err
	}
	args := append([]any{sess.ID[:], sess.UserID, millis(sess.CreatedAt)}, values...)
	return s.changeOne(ctx, s.stmts.insertSession, bitjang.ErrExists, args...)
}

// Session implements bitjang.SessionStore.
func (s *Store) Session(ctx context.Context, id bitjang.SessionID) (bitjang.Session, error) {
	sess, err := scanSession(s.stmts.session.QueryRowContext(ctx, id[:]))
	return sess, notFound(err)
}

// ConfirmSession implements bitjang.SessionStore.
func (s *Store) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	if c.Generation == 0 {
		return bitjang.Session{}, bitjang.ErrConflict // nothing comes before the first token
	}
	now := millis(c.Now)
	sess, err := queued(ctx, s, func(ctx context.Context) (bitjang.Session, error) {
		return scanConfirmed(c, s.stmts.confirmSession.QueryRowContext(ctx,
			int64(c.Generation), c.Nonce[:], c.Parent[:], now, millis(c.IdleExpiresAt), c.ID[:], int64(c.Generation)-1))
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = bitjang.ErrConflict
	}
	return sess, err
}

// UpdateSession implements bitjang.SessionStore.
func (s *Store) UpdateSession(ctx context.Context, sess bitjang.Session) error {
	was := sess.Version
	sess.Version++
	values, err := sessionValues(&sess)
	if err != nil {
		return err
	}
	return s.changeOne(ctx, s.stmts.updateSession, bitjang.ErrConflict, append(values, sess.ID[:], was)...)
}

// Sessions implements bitjang.SessionStore.
func (s *Store) Sessions(ctx context.Context, q bitjang.SessionQuery) ([]bitjang.Session, error) {
	rows, err := s.stmts.sessions.QueryContext(ctx, q.UserID, q.After[:], q.Limit)
	return collect(rows, err, scanSession)
}

// EndSessions implements bitjang.SessionStore.
func (s *Store) EndSessions(ctx context.Context, f bitjang.EndFilter) (int, error) {
	return queued(ctx, s, func(ctx context.Context) (int, error) {
		return affected(s.stmts.endSessions.ExecContext(ctx, millis(f.At), string(f.Reason), f.UserID, f.Except[:], f.DeviceID))
	})
}

// DeleteSessions implements bitjang.SessionStore. It goes by sweep_at, which
// refreshes do not move: a row that is looked at too early is told when to
// come again, so each row costs one such look per idle lifetime. Of the first
// limit rows the dead are deleted, and those then left are the early ones.
func (s *Store) DeleteSessions(ctx context.Context, t time.Time, limit int) (int, bool, error) {
	type result struct{ removed, postponed int }
	r, err := queued(ctx, s, func(ctx context.Context) (r result, err error) {
		if r.removed, err = affected(s.stmts.deleteSessions.ExecContext(ctx, millis(t), limit)); err != nil {
			return r, err
		}
		r.postponed, err = affected(s.stmts.postponeSessions.ExecContext(ctx, millis(t), limit-r.removed))
		return r, err
	})
	return r.removed, r.removed+r.postponed >= limit, err
}
