package sqlstore

import (
	"context"
	"math"
	"time"

	"github.com/bitjang/bitjang"
)

const userColumns = `id, email, name, password_hash, roles, created_at, updated_at, disabled_at, password_version, email_verified_at, language, delete_at, version`

func scanUser(r row) (u bitjang.User, err error) {
	err = r.Scan(&u.ID, &u.Email, &u.Name, &u.PasswordHash, listCol{&u.Roles},
		timeCol{&u.CreatedAt}, timeCol{&u.UpdatedAt}, timeCol{&u.DisabledAt}, &u.PasswordVersion,
		timeCol{&u.EmailVerifiedAt}, &u.Language, timeCol{&u.DeleteAt}, &u.Version)
	return u, err
}

// InsertUser implements bitjang.UserStore.
func (s *Store) InsertUser(ctx context.Context, u bitjang.User) error {
	return s.changeOne(ctx, s.stmts.insertUser, bitjang.ErrExists, u.ID, u.Email, u.Name, u.PasswordHash,
		list(u.Roles), millis(u.CreatedAt), millis(u.UpdatedAt), millis(u.DisabledAt), u.PasswordVersion,
		millis(u.EmailVerifiedAt), u.Language, millis(u.DeleteAt), u.Version)
}

// User implements bitjang.UserStore.
func (s *Store) User(ctx context.Context, id string) (bitjang.User, error) {
	return one(ctx, s, s.stmts.user, scanUser, id)
}

// UserByEmail implements bitjang.UserStore.
func (s *Store) UserByEmail(ctx context.Context, email string) (bitjang.User, error) {
	return one(ctx, s, s.stmts.userByEmail, scanUser, email)
}

// UpdateUser implements bitjang.UserStore.
func (s *Store) UpdateUser(ctx context.Context, u bitjang.User) error {
	err := s.changeOne(ctx, s.stmts.updateUser, bitjang.ErrConflict, u.Email, u.Name, u.PasswordHash,
		list(u.Roles), millis(u.UpdatedAt), millis(u.DisabledAt), u.PasswordVersion,
		millis(u.EmailVerifiedAt), u.Language, millis(u.DeleteAt), u.ID, u.Version)
	if err != nil && s.d.duplicate(err) {
		return bitjang.ErrExists
	}
	return err
}

// Users implements bitjang.UserStore.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]bitjang.User, error) {
	return all(ctx, s, s.stmts.users, scanUser, after, limit)
}

// DeleteUsers implements bitjang.UserStore. The factors go with
// them, chosen by the same order.
func (s *Store) DeleteUsers(ctx context.Context, t time.Time, limit int) (int, error) {
	return together(ctx, s, func(ctx context.Context, u unit) (int, error) {
		if _, err := u.exec(ctx, s.stmts.deleteFactorsOf, millis(t), limit); err != nil {
			return 0, err
		}
		return u.exec(ctx, s.stmts.deleteUsers, millis(t), limit)
	})
}

// eventColumns are in the order of scanEvent.
const eventColumns = `id, at, type, user_id, session_id, ip, user_agent, reason, count, detail, seal`

func scanEvent(r row) (e bitjang.Event, err error) {
	err = r.Scan(&e.ID, timeCol{&e.At}, &e.Type, &e.UserID, fixedCol{e.SessionID[:]}, ipCol{&e.IP}, &e.UserAgent, &e.Reason, &e.Count, &e.Detail, &e.Seal)
	if len(e.Seal) == 0 {
		e.Seal = nil
	}
	return e, err
}

// InsertEvents implements bitjang.EventStore.
func (s *Store) InsertEvents(ctx context.Context, events ...bitjang.Event) error {
	insert := func(ctx context.Context, u unit) (int, error) {
		for _, e := range events {
			if _, err := u.exec(ctx, s.stmts.insertEvent, millis(e.At), string(e.Type), e.UserID, e.SessionID[:],
				ipText(e.IP), e.UserAgent, e.Reason, e.Count, e.Detail); err != nil {
				return 0, err
			}
		}
		return len(events), nil
	}
	var err error
	switch len(events) {
	case 0:
	case 1:
		_, err = single(ctx, s, insert)
	default:
		_, err = together(ctx, s, insert)
	}
	return err
}

// Events implements bitjang.EventStore.
func (s *Store) Events(ctx context.Context, userID string, before int64, limit int) ([]bitjang.Event, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return all(ctx, s, s.stmts.events, scanEvent, userID, before, limit)
}

// EventsAfter implements bitjang.EventStore.
func (s *Store) EventsAfter(ctx context.Context, after int64, limit int) ([]bitjang.Event, error) {
	return all(ctx, s, s.stmts.eventsAfter, scanEvent, after, limit)
}

// LastSealed implements bitjang.EventStore.
func (s *Store) LastSealed(ctx context.Context) (bitjang.Event, error) {
	return one(ctx, s, s.stmts.lastSealed, scanEvent)
}

// SealEvent implements bitjang.EventStore.
func (s *Store) SealEvent(ctx context.Context, id int64, seal []byte) error {
	return s.changeOne(ctx, s.stmts.sealEvent, bitjang.ErrConflict, seal, id)
}

// DeleteEvents implements bitjang.EventStore.
func (s *Store) DeleteEvents(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.change(ctx, s.stmts.deleteEvents, millis(t), limit)
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
	return all(ctx, s, s.stmts.keys, scanKey)
}

// UpdateKey implements bitjang.KeyStore.
func (s *Store) UpdateKey(ctx context.Context, k bitjang.SigningKey) error {
	return s.changeOne(ctx, s.stmts.updateKey, bitjang.ErrNotFound, k.Algorithm, k.Sealed, millis(k.CreatedAt), millis(k.ActiveFrom), k.ID)
}

// DeleteKey implements bitjang.KeyStore.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	_, err := s.change(ctx, s.stmts.deleteKey, id)
	return err
}
