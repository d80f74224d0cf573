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
	ErrCursor   = errors.New("bitjang: not a cursor of this store")
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
	FactorStore
	SessionStore
	EventStore
	KeyStore
	MailStore
	ClientStore
	ConsentStore
}

// SessionStore keeps what changes by the minute: sessions, and beside them the
// revocation feed, one-time grants and limits.
type SessionStore interface {
	RevocationStore
	GrantStore
	LimitStore

	// InsertSession adds a session, whose id NewSessionID made for its user;
	// ErrExists if it is taken.
	InsertSession(ctx context.Context, s Session) error

	// Session returns a session, ended and expired ones too, or ErrNotFound.
	Session(ctx context.Context, id SessionID) (Session, error)

	// ConfirmSession is the usual refresh: one conditional write and no read
	// before it. Where the condition of c holds it moves the record and
	// returns the session as it then stands; otherwise nothing changes and the
	// answer is ErrConflict, for a missing session too.
	ConfirmSession(ctx context.Context, c Confirmation) (Session, error)

	// UpdateSession writes every field but ID, UserID and CreatedAt, if the
	// stored Version still is s.Version. In the same step it appends tell to
	// the revocation feed, if that is not nil.
	UpdateSession(ctx context.Context, s Session, tell *Revocation) error

	// Sessions lists a user's sessions in the order of their ids.
	Sessions(ctx context.Context, q SessionQuery) ([]Session, error)

	// EndSessions ends, in one step, every session that f names and that is
	// neither ended nor past ExpiresAt at f.At, and returns how many those
	// were. When it returns, what it found ended already is as durable as what
	// it ended. One that has only been idle for too long could still be renewed,
	// and so it ends as well. In the same step each is appended to the
	// revocation feed.
	EndSessions(ctx context.Context, f EndFilter) (int, error)

	// DeleteSessions removes sessions that were dead (Session.DeadSince)
	// before t. It looks at no more than limit records and returns how many it
	// removed and whether there may be more to look at.
	DeleteSessions(ctx context.Context, t time.Time, limit int) (removed int, more bool, err error)

	// EverySession walks through all sessions in an order of the store's own,
	// some limit at a time. "" begins; next is "" after the last page. A
	// session that is there throughout the walk is met at least once. ErrCursor
	// if next is not from this store.
	EverySession(ctx context.Context, after string, limit int) (page []Session, next string, err error)
}

// RevocationStore is the revocation feed: which sessions' access tokens are no
// good any more although they have not expired. UpdateSession and EndSessions
// append to it.
type RevocationStore interface {
	// Revocations returns at most limit entries after the cursor, in the order
	// in which they became visible, and the cursor to go on from. "" begins
	// with the oldest that is kept. A reader that goes on from each returned
	// cursor misses nothing, whatever happens beside it, and sees nothing
	// twice. ErrCursor if after is not from this store.
	Revocations(ctx context.Context, after string, limit int) (list []Revocation, next string, err error)

	// DeleteRevocations removes about limit entries older than t.
	DeleteRevocations(ctx context.Context, t time.Time, limit int) (removed int, err error)
}

// GrantStore keeps one-time permissions: whoever presents the secret first
// gets what it stands for, and nobody afterwards.
type GrantStore interface {
	InsertGrant(ctx context.Context, g Grant) error // ErrExists

	// ConsumeGrant marks a grant as used at that moment and returns it as it
	// then stands. A grant used before is returned unchanged, with ErrConflict;
	// ErrNotFound if there is none. Whether it has expired is for the caller to
	// look at.
	ConsumeGrant(ctx context.Context, id GrantID, at time.Time) (Grant, error)

	// DeleteGrants removes at most limit grants that expired before t.
	DeleteGrants(ctx context.Context, t time.Time, limit int) (removed int, err error)
}

// Grant is a one-time permission, found by the hash of its secret.
type Grant struct {
	ID        GrantID
	Kind      string // what it permits
	UserID    string
	Data      []byte // what goes with it, at most 8 KiB
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero until it is used
}

// GrantID is the SHA-256 hash of a grant's secret.
type GrantID [32]byte

// LimitStore counts what happens too often, by the generic cell rate algorithm:
// one time per key, the moment at which its bucket is empty again.
type LimitStore interface {
	// Spend adds cost to the bucket of a key, unless it would then be full
	// beyond capacity: with empty the later of now and what is stored, it
	// stores empty+cost and answers true if that is at most now+capacity. Both
	// ways it returns the moment that is then stored, or now if none is. A
	// negative cost gives back: the moment may come to lie in the past.
	Spend(ctx context.Context, s Spending) (empty time.Time, ok bool, err error)

	// DeleteLimits removes at most limit keys whose buckets were empty before t.
	DeleteLimits(ctx context.Context, t time.Time, limit int) (removed int, err error)
}

// Spending is one call of Spend. Cost and Capacity are whole milliseconds.
type Spending struct {
	Key      string // at most 256 bytes
	Now      time.Time
	Cost     time.Duration // how long the bucket takes to forget this one
	Capacity time.Duration // how much it holds: burst times cost
}

// Confirmation is row 4 of the verdict table as a conditional write. The
// condition: the session exists, is neither ended nor held nor bound to a key
// (whoever brings a token of such a one has to be looked at first), Now is before
// both expiries, its Generation is one less than this one, and its Nonce is this
// Parent. Generations do not wrap around.
// The effect: Rotation becomes (Generation, Nonce, Parent, Now, Now, zero),
// LastSeenAt Now, IdleExpiresAt as given, Version + 1. The session that is
// returned tells LastSeenAt as it was, in SeenBeforeAt; no other call does.
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
	Only     SessionID // only this one, if set
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
	// DeleteUsers removes at most limit users whose DeleteAt is set and before t,
	// and with them their factors.
	DeleteUsers(ctx context.Context, t time.Time, limit int) (removed int, err error)
}

// ClientStore keeps the registered clients.
type ClientStore interface {
	InsertClient(ctx context.Context, c Client) error // ErrExists
	Client(ctx context.Context, id string) (Client, error)
	UpdateClient(ctx context.Context, c Client) error // compare-and-swap; CreatedAt stays
	// Clients lists clients in the order of their ids, after the given one.
	Clients(ctx context.Context, after string, limit int) ([]Client, error)
	DeleteClient(ctx context.Context, id string) error // no error if it is gone already
}

// ConsentStore keeps what people have allowed clients.
type ConsentStore interface {
	Consent(ctx context.Context, userID, clientID string) (Consent, error)
	PutConsent(ctx context.Context, c Consent) error // in the place of one before; the last write wins
	// Consents lists a user's in the order of the clients' ids.
	Consents(ctx context.Context, userID string) ([]Consent, error)
	// DeleteConsents removes one, or with "" for the client all of a user's.
	DeleteConsents(ctx context.Context, userID, clientID string) error
}

// MailStore keeps the mails that wait to be sent.
type MailStore interface {
	InsertMail(ctx context.Context, m WaitingMail) error // ErrExists
	// ClaimMails takes at most limit mails that are due at now, the longest due
	// first: their DueAt becomes until and Attempts counts up, so that of many
	// nodes one gets each. It returns them as they then stand.
	ClaimMails(ctx context.Context, now, until time.Time, limit int) ([]WaitingMail, error)
	PostponeMail(ctx context.Context, id string, due time.Time) error // ErrNotFound
	DeleteMail(ctx context.Context, id string) error                  // no error if it is gone already
}

// WaitingMail is a mail in the store. What it says is sealed under the master
// key: its link may be worth an account.
type WaitingMail struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
	DueAt     time.Time // when it is to be tried, or tried again
	Attempts  int
}

// EventStore keeps the audit trail.
type EventStore interface {
	// InsertEvents appends events; the store numbers them in order.
	InsertEvents(ctx context.Context, events ...Event) error
	// Events lists a user's events, newest first, with ids below before (0
	// means from the newest).
	Events(ctx context.Context, userID string, before int64, limit int) ([]Event, error)
	// EventsAfter lists everybody's events with ids above after, in their order.
	EventsAfter(ctx context.Context, after int64, limit int) ([]Event, error)
	// LastSealed returns the event with the highest id that has a Seal, or
	// ErrNotFound.
	LastSealed(ctx context.Context) (Event, error)
	// SealEvent gives an event its Seal; ErrConflict if it has one or is gone.
	SealEvent(ctx context.Context, id int64, seal []byte) error
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
