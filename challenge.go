package bitjang

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// challengePurpose is what a challenge opens once it is met.
type challengePurpose string

const (
	challengeLogin   challengePurpose = "login"   // the second step of a login
	challengePasskey challengePurpose = "passkey" // a login with nothing but a passkey
	challengeHold    challengePurpose = "hold"    // a session on hold goes on
	challengeRaise   challengePurpose = "step_up" // a session is worth more
)

// Challenge asks a user to prove more. Its Token says nothing to whoever has it,
// and opens nothing without one of the Factors.
type Challenge struct {
	Token     Secret
	Purpose   string // "login", "passkey", "hold" or "step_up"
	HeldFor   string // what the session is held for
	Factors   []FactorKind
	Passkey   []byte     // for navigator.credentials.get, as JSON; with FactorPasskey
	Setup     *TOTPSetup // the user must have a factor and has none: this is it, once its code is shown
	Email     string     // where a code goes, with FactorEmail: enough for its owner to know it
	Remember  time.Duration
	ExpiresAt time.Time
}

const (
	challengePrefix  = "bjc_"
	challengeSeal    = "challenge"
	challengeLife    = 10 * time.Minute
	rememberedPrefix = "bjd_"
	rememberedSeal   = "remembered device"
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// Refusals about proving more. Those that ask for it carry the Challenge.
var (
	ErrFactorRequired   = &Error{Code: Unauthenticated, Reason: "mfa_required", Message: "The password was right. Now a second factor is needed."}
	ErrProveAgain       = &Error{Code: Denied, Reason: "fresh_authentication_required", Message: "Prove once more that it is you. It has been a while, or a second factor is needed."}
	ErrChallengeInvalid = &Error{Code: Unauthenticated, Reason: "challenge_invalid", Message: "This has been used, has expired, or was begun on another device. Begin again."}
	ErrCodeInvalid      = &Error{Code: Unauthenticated, Reason: "code_invalid", Message: "This is not right, or it has been used."}
)

// challengeFacts is a challenge in full. The client keeps it, sealed, so that
// refusing a held session's client over and over writes nothing. The store
// learns of it when it is met: a grant of its hash, so that it is met once.
type challengeFacts struct {
	Nonce     []byte           `json:"n"`
	Purpose   challengePurpose `json:"p"`
	Factors   []FactorKind     `json:"f"`
	UserID    string           `json:"u,omitempty"`
	Device    []byte           `json:"d,omitempty"` // hash of the one that a login began on
	ExpiresAt time.Time        `json:"e"`

	Shown           []string `json:"a,omitempty"` // what a login has shown so far (RFC 8176)
	PasswordVersion int64    `json:"v,omitempty"`
	Email           string   `json:"m,omitempty"`

	SessionID  string `json:"s,omitempty"`
	Generation uint32 `json:"g,omitempty"` // of the newest refresh token that the client is known to hold
	Held       []byte `json:"h,omitempty"` // its nonce
	HeldFor    string `json:"r,omitempty"`

	Code     string      `json:"c,omitempty"` // what a mail would say
	WebAuthn []byte      `json:"w,omitempty"`
	Setup    *setupFacts `json:"t,omitempty"`
}

func (s *Service) newChallenge(purpose challengePurpose, on Device, life time.Duration) challengeFacts {
	raw := make([]byte, 16+passkeyChallenge)
	rand.Read(raw)
	code, err := rand.Int(rand.Reader, big.NewInt(totpModulus))
	if err != nil {
		panic(err) // never: crypto/rand stops the program instead
	}
	return challengeFacts{
		Nonce: raw[:16], WebAuthn: raw[16:], Code: fmt.Sprintf("%0*d", totpDigits, code),
		Purpose: purpose, Device: deviceMark(on), ExpiresAt: s.clock().Add(life),
	}
}

// deviceMark stands for a device for a few minutes: its id, else its User-Agent.
func deviceMark(d Device) []byte {
	d = d.bounded()
	text := "id " + d.ID
	if d.ID == "" {
		text = "agent " + d.UserAgent
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:16]
}

// describe seals a challenge and says what a client needs to know about it.
func (s *Service) describe(facts challengeFacts, u *User, list []Factor) (Challenge, error) {
	if len(facts.Factors) == 0 {
		return Challenge{}, ErrPasskeyDisabled // all that the user has are passkeys, and the service had them once
	}
	token, err := s.sealToken(challengePrefix, challengeSeal, facts)
	if err != nil {
		return Challenge{}, err
	}
	return s.view(token, facts, u, list)
}

func (s *Service) view(token Secret, facts challengeFacts, u *User, list []Factor) (Challenge, error) {
	c := Challenge{Token: token, Purpose: string(facts.Purpose), HeldFor: facts.HeldFor, Factors: facts.Factors, ExpiresAt: facts.ExpiresAt}
	if slices.Contains(facts.Factors, FactorPasskey) {
		ceremony := PasskeyCeremony{Challenge: facts.WebAuthn, MustVerify: true}
		var err error
		if u != nil {
			ceremony, err = s.ceremony(u, list, facts.WebAuthn)
		}
		if err == nil {
			c.Passkey, err = s.cfg.Passkeys.RequestOptions(ceremony)
		}
		if err != nil {
			return Challenge{}, err
		}
	}
	if slices.Contains(facts.Factors, FactorEmail) {
		c.Email = maskEmail(u.Email)
	}
	if facts.Setup != nil {
		c.Setup = s.totpSetup(u, facts.Setup.Secret)
	}
	if facts.Purpose == challengeLogin && facts.Setup == nil && s.cfg.RememberDevice > 0 {
		c.Remember = s.cfg.RememberDevice
	}
	return c, nil
}

// maskEmail is enough of an address for its owner to know it.
func maskEmail(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	return local[:min(1, len(local))] + "***@" + domain
}

// openChallenge reads a challenge that is still open for the caller's device.
func (s *Service) openChallenge(token Secret, from Caller) (challengeFacts, error) {
	var facts challengeFacts
	if err := s.openToken(challengePrefix, challengeSeal, token, &facts); err != nil {
		return facts, ErrChallengeInvalid.because(err)
	}
	if !s.clock().Before(facts.ExpiresAt) {
		return facts, ErrChallengeInvalid
	}
	if facts.SessionID == "" && !slices.Equal(facts.Device, deviceMark(from.Device)) {
		return facts, ErrChallengeInvalid
	}
	return facts, nil
}

// Challenge describes a challenge once more, for whoever has its token.
func (s *Service) Challenge(ctx context.Context, token Secret, from Caller) (Challenge, error) {
	facts, err := s.openChallenge(token, from)
	if err != nil {
		return Challenge{}, err
	}
	if facts.UserID == "" {
		return s.view(token, facts, nil, nil)
	}
	u, list, err := s.challenged(ctx, facts.UserID)
	if err == nil {
		facts.Factors, err = s.waysLeft(&facts, list)
	}
	if err != nil {
		return Challenge{}, err
	}
	return s.view(token, facts, &u, list)
}

// challenged loads whom a challenge is about.
func (s *Service) challenged(ctx context.Context, userID string) (User, []Factor, error) {
	u, err := s.User(ctx, userID)
	if errors.Is(err, ErrNoSuchUser) || (err == nil && s.gone(&u)) {
		return User{}, nil, ErrChallengeInvalid
	} else if err != nil {
		return User{}, nil, err
	}
	if !u.DisabledAt.IsZero() {
		return User{}, nil, ErrUserDisabled
	}
	list, err := s.listFactors(ctx, u.ID)
	return u, list, err
}

func (f *challengeFacts) hash() GrantID {
	return sha256.Sum256(append([]byte(challengeSeal+"\x00"), f.Nonce...))
}

// useUp lets a challenge be met once.
func (s *Service) useUp(ctx context.Context, facts *challengeFacts) error {
	now := s.clock()
	g := Grant{ID: facts.hash(), Kind: challengeSeal, UserID: facts.UserID, CreatedAt: now, ExpiresAt: facts.ExpiresAt, UsedAt: now}
	err := s.sessions.InsertGrant(ctx, g)
	if errors.Is(err, ErrExists) {
		return ErrChallengeInvalid
	} else if err != nil {
		return outage("use challenge", err)
	}
	return nil
}

// spendTry counts a try, before it is made: of many at once none gets past. A
// passkey's answer cannot be guessed, so it does not count against the user. Tries
// are counted also where Config.NoRateLimits is set: six digits are worth nothing
// without.
func (s *Service) spendTry(ctx context.Context, facts *challengeFacts, kind FactorKind) error {
	hash := facts.hash()
	charges := limitChallenge.charges(string(hash[:]))
	if kind != FactorPasskey {
		charges = append(charges, limitFactor.charges(facts.UserID)...)
	}
	now := s.clock()
	for _, c := range charges {
		empty, ok, err := s.sessions.Spend(ctx, Spending{Key: c.key, Now: now, Cost: c.refill, Capacity: c.capacity()})
		if err != nil {
			return outage("limit attempts", err)
		}
		if !ok {
			return c.refusal(empty, now)
		}
	}
	return nil
}

// asking is an error that carries a challenge.
func (e *Error) asking(c Challenge) *Error {
	asked := *e
	asked.Challenge = &c
	return &asked
}
