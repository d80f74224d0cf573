package bitjang

import (
	"context"
	"errors"
	"time"
)

// What stores answer besides success. Anything else is an outage.
var (
	ErrNotFound = errors.New("bitjang: not found")
	ErrExists   = errors.New("bitjang: exists already")
	ErrConflict = errors.New("bitjang: the record has moved")
)

// Store keeps everything. Sessions may live elsewhere: see Config.Sessions.
//
// Every store obeys one contract, and store/storetest checks it: a store
// persists and compares, never reads the clock, never judges and never logs.
// Times have millisecond precision. Updates are compare-and-swap on Version:
// the caller passes the record as read, the store writes it with Version+1, or
// answers ErrConflict when the stored Version is another one or the record is
// gone. Every call honours its context.
type Store interface {
	UserStore
	SessionStore
	EventStore
	KeyStore
}

// SessionStore keeps sessions. It has a method more than six because the usual
// refresh has one of its own.
type SessionStore interface {
	// InsertSession adds a session; ErrExists if the id is taken.
	InsertSession(ctx context.Context, s Session) error

	// Session returns a session, ended and expired ones too, or ErrNotFound.
	Session(ctx context.Context, id SessionID) (Session, error)

	// ConfirmSession is the usual refresh: one conditional write and no read
	// before it. Where the condition of c holds it moves the record and
	// returns the session as it then stands; otherwise nothing changes and the
	// answer is ErrConflict, for a missing session too.
	ConfirmSession(ctx context.Context, c Confirmation) (Session, error)

	// UpdateSession writes every field but ID, UserID and CreatedAt, if the
	// stored Version still is s.Version.
	UpdateSession(ctx context.Context, s Session) error

	// Sessions lists a user's sessions in the order of their ids.
	Sessions(ctx context.Context, q SessionQuery) ([]Session, error)

	// EndSessions ends, in one step, every session that f names and that is
	// neither ended nor past ExpiresAt at f.At, and returns how many those
	// were. One that has only been idle for too long could still be renewed,
	// and so it ends as well.
	EndSessions(ctx context.Context, f EndFilter) (int, error)

	// DeleteSessions removes sessions that were dead (Session.DeadSince)
	// before t. It looks at no more than limit records and returns how many it
	// removed and whether there may be more to look at.
	DeleteSessions(ctx context.Context, t time.Time, limit int) (removed int, more bool, err error)
}

// Confirmation is row 4 of the verdict table as a conditional write. The
// condition: the session exists, is neither ended nor held, Now is before both
// expiries, its Generation+1 is this Generation and its Nonce is this Parent.
// The effect: Rotation becomes (Generation, Nonce, Parent, Now, Now, zero),
// LastSeenAt Now, IdleExpiresAt as given, Version + 1.
type Confirmation struct {
	ID            SessionID
	Generation    uint32
	Nonce         Nonce
	Parent        Nonce
	Now           time.Time
	IdleExpiresAt time.Time
}

// SessionQuery selects sessions of one user.
type SessionQuery struct {
	UserID string
	After  SessionID // the last id of the page before; zero for the first page
	Limit  int
}

// EndFilter names the sessions to end.
type EndFilter struct {
	UserID   string
	DeviceID string    // only sessions of this device, if set
	Except   SessionID // spare this one, if set
	At       time.Time
	Reason   EndReason
}

// UserStore keeps users. Email is unique: stores compare it byte for byte, the
// root package has normalised it.
type UserStore interface {
	InsertUser(ctx context.Context, u User) error // ErrExists: the id or Email is taken
	User(ctx context.Context, id string) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	UpdateUser(ctx context.Context, u User) error // compare-and-swap; ErrExists: Email is taken
	// Users lists users in the order of their ids, after the given one.
	Users(ctx context.Context, after string, limit int) ([]User, error)
}

// EventStore keeps the audit trail.
type EventStore interface {
	// InsertEvents appends events; the store numbers them in order.
	InsertEvents(ctx context.Context, events ...Event) error
	// Events lists a user's events, newest first, with ids below before (0
	// means from the newest).
	Events(ctx context.Context, userID string, before int64, limit int) ([]Event, error)
	// DeleteEvents removes at most limit events older than t.
	DeleteEvents(ctx context.Context, t time.Time, limit int) (removed int, err error)
}

// KeyStore keeps the sealed signing keys. There are never more than a few.
type KeyStore interface {
	InsertKey(ctx context.Context, k SigningKey) error // ErrExists
	Keys(ctx context.Context) ([]SigningKey, error)
	UpdateKey(ctx context.Context, k SigningKey) error // ErrNotFound; the last write wins
	DeleteKey(ctx context.Context, id string) error    // no error if it is gone already
}
