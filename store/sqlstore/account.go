package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

const userColumns = `id, email, name, password_hash, roles, created_at, updated_at, disabled_at, password_version, version`

func scanUser(r row) (u bitjang.User, err error) {
	err = r.Scan(&u.ID, &u.Email, &u.Name, &u.PasswordHash, listCol{&u.Roles},
		timeCol{&u.CreatedAt}, timeCol{&u.UpdatedAt}, timeCol{&u.DisabledAt}, &u.PasswordVersion, &u.Version)
	return u, err
}

// InsertUser implements bitjang.UserStore.
func (s *Store) InsertUser(ctx context.Context, u bitjang.User) error {
	return s.changeOne(ctx, s.stmts.insertUser, bitjang.ErrExists, u.ID, u.Email, u.Name, u.PasswordHash,
		list(u.Roles), millis(u.CreatedAt), millis(u.UpdatedAt), millis(u.DisabledAt), u.PasswordVersion, u.Version)
}

// User implements bitjang.UserStore.
func (s *Store) User(ctx context.Context, id string) (bitjang.User, error) {
	u, err := scanUser(s.stmts.user.QueryRowContext(ctx, id))
	return u, notFound(err)
}

// UserByEmail implements bitjang.UserStore.
func (s *Store) UserByEmail(ctx context.Context, email string) (bitjang.User, error) {
	u, err := scanUser(s.stmts.userByEmail.QueryRowContext(ctx, email))
	return u, notFound(err)
}

// UpdateUser implements bitjang.UserStore. The statement does nothing both
// when the record has moved and when the address is taken, and the second
// statement, in the same transaction, tells which it was.
func (s *Store) UpdateUser(ctx context.Context, u bitjang.User) error {
	_, err := queued(ctx, s, func(ctx context.Context) (int, error) {
		n, err := affected(s.stmts.updateUser.ExecContext(ctx, u.Email, u.Name, u.PasswordHash,
			list(u.Roles), millis(u.UpdatedAt), millis(u.DisabledAt), u.PasswordVersion, u.ID, u.Version))
		if err != nil || n == 1 {
			return n, err
		}
		var current bool
		if err := s.stmts.userAtVersion.QueryRowContext(ctx, u.ID, u.Version).Scan(&current); err != nil {
			return 0, err
		}
		if current {
			return 0, bitjang.ErrExists
		}
		return 0, bitjang.ErrConflict
	})
	return err
}

// Users implements bitjang.UserStore.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]bitjang.User, error) {
	rows, err := s.stmts.users.QueryContext(ctx, after, limit)
	return collect(rows, err, scanUser)
}

func scanEvent(r row) (e bitjang.Event, err error) {
	err = r.Scan(&e.ID, timeCol{&e.At}, &e.Type, &e.UserID, fixedCol{e.SessionID[:]}, ipCol{&e.IP}, &e.UserAgent, &e.Reason, &e.Count)
	return e, err
}

// InsertEvents implements bitjang.EventStore.
func (s *Store) InsertEvents(ctx context.Context, events ...bitjang.Event) error {
	if len(events) == 0 {
		return nil
	}
	// One statement, so that either all are kept or none.
	values := strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?)", len(events))[2:]
	var args []any
	for _, e := range events {
		args = append(args, millis(e.At), string(e.Type), e.UserID, e.SessionID[:], ipText(e.IP), e.UserAgent, e.Reason, e.Count)
	}
	_, err := queued(ctx, s, func(ctx context.Context) (sql.Result, error) {
		return s.writer.ExecContext(ctx, "INSERT INTO events (at, type, user_id, session_id, ip, user_agent, reason, count) VALUES "+values, args...)
	})
	return err
}

// Events implements bitjang.EventStore.
func (s *Store) Events(ctx context.Context, userID string, before int64, limit int) ([]bitjang.Event, error) {
	rows, err := s.stmts.events.QueryContext(ctx, userID, before, limit)
	return collect(rows, err, scanEvent)
}

// DeleteEvents implements bitjang.EventStore.
func (s *Store) DeleteEvents(ctx context.Context, t time.Time, limit int) (int, error) {
	return queued(ctx, s, func(ctx context.Context) (int, error) {
		return affected(s.stmts.deleteEvents.ExecContext(ctx, millis(t), limit))
	})
}

func scanKey(r row) (k bitjang.SigningKey, err error) {
	err = r.Scan(&k.ID, &k.Algorithm, &k.Sealed, timeCol{&k.CreatedAt}, timeCol{&k.ActiveFrom})
	return k, err
}

// InsertKey implements bitjang.KeyStore.
func (s *Store) InsertKey(ctx context.Context, k bitjang.SigningKey) error {
	return s.changeOne(ctx, s.stmts.insertKey, bitjang.ErrExists, k.ID, k.Algorithm, k.Sealed, millis(k.CreatedAt), millis(k.ActiveFrom))
}

// Keys implements bitjang.KeyStore.
func (s *Store) Keys(ctx context.Context) ([]bitjang.SigningKey, error) {
	rows, err := s.stmts.keys.QueryContext(ctx)
	return collect(rows, err, scanKey)
}

// UpdateKey implements bitjang.KeyStore.
func (s *Store) UpdateKey(ctx context.Context, k bitjang.SigningKey) error {
	return s.changeOne(ctx, s.stmts.updateKey, bitjang.ErrNotFound, k.Algorithm, k.Sealed, millis(k.CreatedAt), millis(k.ActiveFrom), k.ID)
}

// DeleteKey implements bitjang.KeyStore.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.changeOne(ctx, s.stmts.deleteKey, nil, id)
}
