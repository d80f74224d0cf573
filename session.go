package bitjang

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// SessionID names a session. It is no secret: it is the `sid` claim of access
// tokens, written as a UUID. Its first byte is the owner's shard and the rest
// is random: a store that keeps a user's records together knows from the id
// alone where to look.
type SessionID [16]byte

// NewSessionID makes an id for a session of a user.
func NewSessionID(userID string) SessionID {
	var id SessionID
	rand.Read(id[:]) // never fails: crypto/rand stops the program instead
	id[0] = UserShard(userID)
	return id
}

// UserShard tells which of 256 parts a user's records belong to.
func UserShard(userID string) byte {
	sum := sha256.Sum256([]byte(userID))
	return sum[0]
}

// Shard is the UserShard of the session's owner.
func (id SessionID) Shard() byte { return id[0] }

// String writes the id as a UUID, or "" for the zero id.
func (id SessionID) String() string {
	if id.IsZero() {
		return ""
	}
	return formatUUID(id)
}

// IsZero reports whether the id is unset.
func (id SessionID) IsZero() bool { return id == SessionID{} }

// ParseSessionID reads what String wrote.
func ParseSessionID(text string) (SessionID, error) {
	var id SessionID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, errors.New("bitjang: a session id is a UUID")
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != len(id) {
		return id, errors.New("bitjang: a session id is a UUID")
	}
	return SessionID(raw), nil
}

// newUUID makes a random UUID (version 4, RFC 9562 section 5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return formatUUID(b)
}

func formatUUID(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Nonce tells one refresh token from every other ever minted.
type Nonce [8]byte

func newNonce() Nonce {
	var n Nonce
	rand.Read(n[:])
	return n
}

// EndReason says why a session ended, in a word that stays the same for ever.
type EndReason string

// The reasons. The zero value means that the session has not been ended (it
// may still have expired).
const (
	EndedByLogout    EndReason = "logout"                   // the user logged this device out
	EndedByLogoutAll EndReason = "logout_all"               // the user logged every device out
	EndedByUser      EndReason = "ended_by_user"            // the user ended it from another device
	EndedByAdmin     EndReason = "ended_by_admin"           // the operator ended it
	EndedByDisowner  EndReason = "disowned"                 // the user said that it was somebody else
	EndedByDeletion  EndReason = "account_deleted"          // the user deleted the account
	EndedByPassword  EndReason = "password_changed"         // the password was changed elsewhere
	EndedByReuse     EndReason = "refresh_token_reuse"      // an old refresh token came back: theft
	EndedByRisk      EndReason = "risk"                     // the risk policy found its use too unusual
	EndedByStranger  EndReason = "retry_from_other_device"  // a refresh was repeated at once from another device
	EndedByLimit     EndReason = "session_limit"            // a newer login took the last place
	EndedByCodeReuse EndReason = "authorization_code_reuse" // a client's code was redeemed twice
	EndedByClient    EndReason = "ended_by_client"          // the client gave its tokens back
	EndedByConsent   EndReason = "consent_withdrawn"        // the user took back what a client was allowed
	EndedByReplaced  EndReason = "replaced"                 // a new login on the same device
	EndedByDisabled  EndReason = "user_disabled"            // the account was disabled
	EndedByHold      EndReason = "hold_expired"             // it was on hold and nobody proved who they are
)

// Rotation is what the server remembers of a session's refresh tokens: one
// confirmed token, however often the session was refreshed (docs/rotation.md).
type Rotation struct {
	Generation  uint32
	Nonce       Nonce     // of the confirmed token
	Parent      Nonce     // of the token confirmed before it
	ConfirmedAt time.Time // when it was confirmed
	ChildAt     time.Time // when its first child was minted; zero until then
	ChildSeenAt time.Time // when a verifier first saw an access token minted with such a child
}

// Session is one login on one device. Fields are plain data; the rules are in
// this package. Times are UTC with millisecond precision, zero means unset.
type Session struct {
	ID       SessionID
	UserID   string
	ClientID string
	Version  int64 // for compare-and-swap; the store counts it up at every write

	Rotation

	CreatedAt     time.Time
	LastSeenAt    time.Time
	SeenBeforeAt  time.Time // only from ConfirmSession: LastSeenAt before it
	IdleExpiresAt time.Time // slides with each refresh
	ExpiresAt     time.Time // never slides

	EndedAt   time.Time
	EndReason EndReason
	HeldAt    time.Time // frozen until step-up
	HeldFor   string

	AuthTime time.Time // when the user last proved who they are
	AMR      []string  // how (RFC 8176)
	ACR      string
	Scope    string   // of a session of a Client, separated by spaces
	Audience string   // what a Client's access tokens are for; "": Config.Audience
	Roles    []string // the user's, copied so that a refresh needs no second record

	// LoginID is the session that a Client's session goes back to, if it is to
	// end with that one.
	LoginID SessionID

	// KeyThumbprint names the key that the session is bound to (RFC 7638), if it is
	// to one: its tokens are good only with a proof by that key.
	KeyThumbprint string

	Device Device
	IP     netip.Addr // last seen
}

// sessionState is what a session is at a moment, in the words of the API.
type sessionState string

const (
	stateActive  sessionState = "active"
	stateHeld    sessionState = "held"
	stateExpired sessionState = "expired"
	stateEnded   sessionState = "ended"
)

func (s *Session) stateAt(now time.Time) sessionState {
	switch {
	case !s.EndedAt.IsZero():
		return stateEnded
	case !now.Before(s.ExpiresAt) || !now.Before(s.IdleExpiresAt):
		return stateExpired
	case !s.HeldAt.IsZero():
		return stateHeld
	}
	return stateActive
}

// ofClient tells whether the session belongs to a Client: those have an audience
// of their own.
func (s *Session) ofClient() bool { return s.Audience != "" }

// StateAt returns "active", "held", "expired" or "ended".
func (s *Session) StateAt(now time.Time) string { return string(s.stateAt(now)) }

// DeadSince returns the moment from which the session gives nobody anything:
// its end, or the earlier of its two expiries, which may lie ahead.
func (s *Session) DeadSince() time.Time {
	switch {
	case !s.EndedAt.IsZero():
		return s.EndedAt
	case s.IdleExpiresAt.Before(s.ExpiresAt):
		return s.IdleExpiresAt
	}
	return s.ExpiresAt
}

// RefreshExpiresAt is when the newest refresh token of the session stops
// working: the earlier of the two expiries.
func (s *Session) RefreshExpiresAt() time.Time {
	if s.IdleExpiresAt.Before(s.ExpiresAt) {
		return s.IdleExpiresAt
	}
	return s.ExpiresAt
}

// renewable says that nothing but the idle expiry stands against the session.
func (s *Session) renewable(now time.Time) bool {
	return s.EndedAt.IsZero() && s.HeldAt.IsZero() && !now.Before(s.IdleExpiresAt) && now.Before(s.ExpiresAt)
}

func (s *Session) end(now time.Time, why EndReason) {
	if s.EndedAt.IsZero() {
		s.EndedAt, s.EndReason = now, why
	}
}

// refusal is the error that a session in this state answers with; nil when it
// is active.
func (s *Session) refusal(now time.Time) error {
	switch s.stateAt(now) {
	case stateEnded:
		return revokedFor(s.EndReason)
	case stateExpired:
		if !s.HeldAt.IsZero() {
			return revokedFor(EndedByHold)
		}
		return ErrSessionExpired
	case stateHeld:
		return ErrStepUpRequired
	}
	return nil
}

func revokedFor(why EndReason) error {
	e := *ErrSessionRevoked
	e.SessionEnd = why
	return &e
}
