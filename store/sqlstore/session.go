package sqlstore

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/bitjang/bitjang"
)

// sessionColumns are in the order of scanSession and sessionValues.
const sessionColumns = `id, user_id, created_at, client_id, version,
	generation, nonce, parent, confirmed_at, child_at, child_seen_at,
	last_seen_at, idle_expires_at, expires_at, ended_at, end_reason, held_at, held_for,
	auth_time, amr, acr, scope, audience, login_id, roles, device_id, device_name, user_agent, client_hints, ip, key_thumbprint`

type row interface{ Scan(dest ...any) error }

func scanSession(r row) (s bitjang.Session, err error) {
	err = r.Scan(fixedCol{s.ID[:]}, &s.UserID, timeCol{&s.CreatedAt}, &s.ClientID, &s.Version,
		&s.Generation, fixedCol{s.Nonce[:]}, fixedCol{s.Parent[:]}, timeCol{&s.ConfirmedAt}, timeCol{&s.ChildAt}, timeCol{&s.ChildSeenAt},
		timeCol{&s.LastSeenAt}, timeCol{&s.IdleExpiresAt}, timeCol{&s.ExpiresAt}, timeCol{&s.EndedAt}, &s.EndReason, timeCol{&s.HeldAt}, &s.HeldFor,
		timeCol{&s.AuthTime}, listCol{&s.AMR}, &s.ACR, &s.Scope, &s.Audience, fixedCol{s.LoginID[:]}, listCol{&s.Roles},
		&s.Device.ID, &s.Device.Name, &s.Device.UserAgent, hintsCol{&s.Device.Hints}, ipCol{&s.IP}, &s.KeyThumbprint)
	return s, err
}

// sessionValues are the columns after created_at, and sweep_at.
func sessionValues(s *bitjang.Session) ([]any, error) {
	hints, err := hintsText(s.Device.Hints)
	return []any{s.ClientID, s.Version,
		int64(s.Generation), s.Nonce[:], s.Parent[:], millis(s.ConfirmedAt), millis(s.ChildAt), millis(s.ChildSeenAt),
		millis(s.LastSeenAt), millis(s.IdleExpiresAt), millis(s.ExpiresAt), millis(s.EndedAt), string(s.EndReason), millis(s.HeldAt), s.HeldFor,
		millis(s.AuthTime), list(s.AMR), s.ACR, s.Scope, s.Audience, s.LoginID[:], list(s.Roles),
		s.Device.ID, s.Device.Name, s.Device.UserAgent, hints, ipText(s.IP), s.KeyThumbprint, millis(s.DeadSince())}, err
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
	return one(ctx, s, s.stmts.session, scanSession, id[:])
}

// UpdateSession implements bitjang.SessionStore.
func (s *Store) UpdateSession(ctx context.Context, sess bitjang.Session, tell *bitjang.Revocation) error {
	was := sess.Version
	sess.Version++
	values, err := sessionValues(&sess)
	if err != nil {
		return err
	}
	args := append(values, sess.ID[:], was)
	if tell == nil {
		return s.changeOne(ctx, s.stmts.updateSession, bitjang.ErrConflict, args...)
	}
	_, err = together(ctx, s, func(ctx context.Context, u unit) (int, error) {
		n, err := u.exec(ctx, s.stmts.updateSession, args...)
		if err == nil && n == 0 {
			err = bitjang.ErrConflict
		}
		if err != nil {
			return 0, err
		}
		return n, s.tell(ctx, u, tell)
	})
	return err
}

// Sessions implements bitjang.SessionStore.
func (s *Store) Sessions(ctx context.Context, q bitjang.SessionQuery) ([]bitjang.Session, error) {
	return all(ctx, s, s.stmts.sessions, scanSession, q.UserID, q.After[:], q.Limit)
}

// EverySession implements bitjang.SessionStore. It goes by id.
func (s *Store) EverySession(ctx context.Context, after string, limit int) ([]bitjang.Session, string, error) {
	last, err := hex.DecodeString(after)
	if err != nil {
		return nil, "", bitjang.ErrCursor
	}
	list, err := all(ctx, s, s.stmts.everySession, scanSession, last, limit)
	if err != nil || len(list) < limit {
		return list, "", err
	}
	return list, hex.EncodeToString(list[limit-1].ID[:]), nil
}

// EndSessions implements bitjang.SessionStore.
func (s *Store) EndSessions(ctx context.Context, f bitjang.EndFilter) (int, error) {
	at, reason := millis(f.At), string(f.Reason)
	only := 0
	if !f.Only.IsZero() {
		only = 1
	}
	named := []any{f.UserID, f.Except[:], only, f.Only[:], f.DeviceID, f.DeviceID}
	return together(ctx, s, func(ctx context.Context, u unit) (int, error) {
		n, err := u.exec(ctx, s.stmts.endSessions, slices.Concat([]any{at, reason, at}, named, []any{at})...)
		if err != nil || n == 0 {
			return n, err
		}
		if _, err := u.exec(ctx, s.stmts.takeTurn); err != nil {
			return 0, err
		}
		_, err = u.exec(ctx, s.stmts.tellEnded, slices.Concat(named, []any{at, reason})...)
		return n, err
	})
}

// DeleteSessions implements bitjang.SessionStore. It goes by sweep_at, which
// refreshes do not move: a row that is looked at too early is told when to
// come again, so each row costs one such look per idle lifetime. Of the first
// limit rows the dead are deleted, and those then left are the early ones.
func (s *Store) DeleteSessions(ctx context.Context, t time.Time, limit int) (int, bool, error) {
	removed, err := s.change(ctx, s.stmts.deleteSessions, millis(t), limit, millis(t))
	if err != nil || removed >= limit {
		return removed, removed >= limit, err
	}
	postponed, err := s.change(ctx, s.stmts.postponeSessions, millis(t), limit-removed)
	return removed, removed+postponed >= limit, err
}
