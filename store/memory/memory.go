// Package memory is the reference store: the contract of bitjang.Store in the
// fewest words, for tests. It forgets everything when the process ends, never
// decides a rule, and may be imported by tests only.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bitjang/bitjang"
)

// Store keeps everything in maps behind one lock.
type Store struct {
	mu       sync.Mutex
	users    map[string]bitjang.User
	sessions map[bitjang.SessionID]bitjang.Session
	keys     map[string]bitjang.SigningKey
	events   []bitjang.Event
	lastID   int64

	revocations    []numbered
	lastRevocation int64
	grants         map[bitjang.GrantID]bitjang.Grant
	limits         map[string]time.Time
	mails          map[string]bitjang.WaitingMail
	factors        map[string]bitjang.Factor
	clients        map[string]bitjang.Client
	consents       map[[2]string]bitjang.Consent
}

var _ bitjang.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		users:    map[string]bitjang.User{},
		sessions: map[bitjang.SessionID]bitjang.Session{},
		keys:     map[string]bitjang.SigningKey{},
		grants:   map[bitjang.GrantID]bitjang.Grant{},
		limits:   map[string]time.Time{},
		mails:    map[string]bitjang.WaitingMail{},
		factors:  map[string]bitjang.Factor{},
		clients:  map[string]bitjang.Client{},
		consents: map[[2]string]bitjang.Consent{},
	}
}

// enter takes the lock unless the caller has given up.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

// InsertSession implements bitjang.SessionStore.
func (s *Store) InsertSession(ctx context.Context, sess bitjang.Session) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.sessions[sess.ID]; taken {
		return bitjang.ErrExists
	}
	s.sessions[sess.ID] = cloneSession(sess)
	return nil
}

// Session implements bitjang.SessionStore.
func (s *Store) Session(ctx context.Context, id bitjang.SessionID) (bitjang.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Session{}, err
	}
	defer leave()
	sess, ok := s.sessions[id]
	if !ok {
		return bitjang.Session{}, bitjang.ErrNotFound
	}
	return cloneSession(sess), nil
}

// ConfirmSession implements bitjang.SessionStore.
func (s *Store) ConfirmSession(ctx context.Context, c bitjang.Confirmation) (bitjang.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Session{}, err
	}
	defer leave()
	sess, ok := s.sessions[c.ID]
	holds := ok && sess.EndedAt.IsZero() && sess.HeldAt.IsZero() && sess.KeyThumbprint == "" &&
		c.Now.Before(sess.IdleExpiresAt) && c.Now.Before(sess.ExpiresAt) &&
		c.Generation > 0 && sess.Generation+1 == c.Generation && sess.Nonce == c.Parent
	if !holds {
		return bitjang.Session{}, bitjang.ErrConflict
	}
	sess.Rotation = bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now}
	seen := sess.LastSeenAt
	sess.LastSeenAt, sess.IdleExpiresAt = c.Now, c.IdleExpiresAt
	sess.Version++
	s.sessions[c.ID] = sess
	sess.SeenBeforeAt = seen
	return cloneSession(sess), nil
}

// UpdateSession implements bitjang.SessionStore.
func (s *Store) UpdateSession(ctx context.Context, sess bitjang.Session, tell *bitjang.Revocation) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	old, ok := s.sessions[sess.ID]
	if !ok || old.Version != sess.Version {
		return bitjang.ErrConflict
	}
	sess = cloneSession(sess)
	sess.UserID, sess.CreatedAt, sess.SeenBeforeAt = old.UserID, old.CreatedAt, time.Time{}
	sess.Version++
	s.sessions[sess.ID] = sess
	if tell != nil {
		s.tell(*tell)
	}
	return nil
}

// Sessions implements bitjang.SessionStore.
func (s *Store) Sessions(ctx context.Context, q bitjang.SessionQuery) ([]bitjang.Session, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Session
	for _, sess := range s.sessions {
		if sess.UserID == q.UserID && bytes.Compare(sess.ID[:], q.After[:]) > 0 {
			list = append(list, cloneSession(sess))
		}
	}
	slices.SortFunc(list, func(a, b bitjang.Session) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list[:min(len(list), q.Limit)], nil
}

// EndSessions implements bitjang.SessionStore.
func (s *Store) EndSessions(ctx context.Context, f bitjang.EndFilter) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n := 0
	for id, sess := range s.sessions {
		named := sess.UserID == f.UserID && id != f.Except && (f.Only.IsZero() || f.Only == id) && (f.DeviceID == "" || sess.Device.ID == f.DeviceID)
		if !named || !f.At.Before(sess.ExpiresAt) || !sess.EndedAt.IsZero() {
			continue
		}
		sess.EndedAt, sess.EndReason = f.At, f.Reason
		sess.Version++
		s.sessions[id] = sess
		s.tell(bitjang.Revocation{SessionID: id, At: f.At, State: bitjang.RevocationEnded, Reason: string(f.Reason)})
		n++
	}
	return n, nil
}

// DeleteSessions implements bitjang.SessionStore.
func (s *Store) DeleteSessions(ctx context.Context, t time.Time, limit int) (int, bool, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, false, err
	}
	defer leave()
	n := 0
	for id, sess := range s.sessions {
		if !sess.DeadSince().Before(t) {
			continue
		}
		if n == limit {
			return n, true, nil
		}
		delete(s.sessions, id)
		n++
	}
	return n, false, nil
}

// InsertUser implements bitjang.UserStore.
func (s *Store) InsertUser(ctx context.Context, u bitjang.User) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.users[u.ID]; taken || s.emailTaken(u) {
		return bitjang.ErrExists
	}
	s.users[u.ID] = cloneUser(u)
	return nil
}

func (s *Store) emailTaken(u bitjang.User) bool {
	for _, other := range s.users {
		if other.Email == u.Email && other.ID != u.ID {
			return true
		}
	}
	return false
}

// User implements bitjang.UserStore.
func (s *Store) User(ctx context.Context, id string) (bitjang.User, error) {
	return s.findUser(ctx, func(u bitjang.User) bool { return u.ID == id })
}

// UserByEmail implements bitjang.UserStore.
func (s *Store) UserByEmail(ctx context.Context, email string) (bitjang.User, error) {
	return s.findUser(ctx, func(u bitjang.User) bool { return u.Email == email })
}

func (s *Store) findUser(ctx context.Context, is func(bitjang.User) bool) (bitjang.User, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.User{}, err
	}
	defer leave()
	for _, u := range s.users {
		if is(u) {
			return cloneUser(u), nil
		}
	}
	return bitjang.User{}, bitjang.ErrNotFound
}

// UpdateUser implements bitjang.UserStore.
func (s *Store) UpdateUser(ctx context.Context, u bitjang.User) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	old, ok := s.users[u.ID]
	switch {
	case !ok || old.Version != u.Version:
		return bitjang.ErrConflict
	case s.emailTaken(u):
		return bitjang.ErrExists
	}
	u = cloneUser(u)
	u.CreatedAt = old.CreatedAt
	u.Version++
	s.users[u.ID] = u
	return nil
}

// Users implements bitjang.UserStore.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]bitjang.User, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.User
	for _, u := range s.users {
		if u.ID > after {
			list = append(list, cloneUser(u))
		}
	}
	slices.SortFunc(list, func(a, b bitjang.User) int { return cmp.Compare(a.ID, b.ID) })
	return list[:min(len(list), limit)], nil
}

// InsertEvents implements bitjang.EventStore.
func (s *Store) InsertEvents(ctx context.Context, events ...bitjang.Event) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, e := range events {
		s.lastID++
		e.ID = s.lastID
		s.events = append(s.events, e)
	}
	return nil
}

// Events implements bitjang.EventStore.
func (s *Store) Events(ctx context.Context, userID string, before int64, limit int) ([]bitjang.Event, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Event
	for _, e := range slices.Backward(s.events) {
		if e.UserID == userID && (before == 0 || e.ID < before) && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, nil
}

// EventsAfter implements bitjang.EventStore.
func (s *Store) EventsAfter(ctx context.Context, after int64, limit int) ([]bitjang.Event, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Event
	for _, e := range s.events {
		if e.ID > after && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, nil
}

// LastSealed implements bitjang.EventStore.
func (s *Store) LastSealed(ctx context.Context) (bitjang.Event, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Event{}, err
	}
	defer leave()
	for _, e := range slices.Backward(s.events) {
		if len(e.Seal) > 0 {
			return e, nil
		}
	}
	return bitjang.Event{}, bitjang.ErrNotFound
}

// SealEvent implements bitjang.EventStore.
func (s *Store) SealEvent(ctx context.Context, id int64, seal []byte) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for i := range s.events {
		if e := &s.events[i]; e.ID == id && len(e.Seal) == 0 {
			e.Seal = slices.Clone(seal)
			return nil
		}
	}
	return bitjang.ErrConflict
}

// DeleteEvents implements bitjang.EventStore.
func (s *Store) DeleteEvents(ctx context.Context, t time.Time, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n := 0
	s.events = slices.DeleteFunc(s.events, func(e bitjang.Event) bool {
		return deleteOld(&n, limit, e.At, t)
	})
	return n, nil
}

// InsertKey implements bitjang.KeyStore.
func (s *Store) InsertKey(ctx context.Context, k bitjang.SigningKey) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.keys[k.ID]; taken {
		return bitjang.ErrExists
	}
	k.Sealed = slices.Clone(k.Sealed)
	s.keys[k.ID] = k
	return nil
}

// Keys implements bitjang.KeyStore.
func (s *Store) Keys(ctx context.Context) ([]bitjang.SigningKey, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.SigningKey
	for _, k := range s.keys {
		k.Sealed = slices.Clone(k.Sealed)
		list = append(list, k)
	}
	return list, nil
}

// UpdateKey implements bitjang.KeyStore.
func (s *Store) UpdateKey(ctx context.Context, k bitjang.SigningKey) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, ok := s.keys[k.ID]; !ok {
		return bitjang.ErrNotFound
	}
	k.Sealed = slices.Clone(k.Sealed)
	s.keys[k.ID] = k
	return nil
}

// DeleteKey implements bitjang.KeyStore.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	delete(s.keys, id)
	return nil
}

// The clones keep callers from reaching into the store through a slice.

func cloneSession(s bitjang.Session) bitjang.Session {
	s.AMR, s.Roles = slices.Clone(s.AMR), slices.Clone(s.Roles)
	return s
}

func cloneUser(u bitjang.User) bitjang.User {
	u.Roles = slices.Clone(u.Roles)
	return u
}
