package bitjang

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// Passkeys does what WebAuthn asks of a relying party; package passkey has one.
// It keeps nothing: the rules are here, and so are the records.
type Passkeys interface {
	// CreationOptions are for navigator.credentials.create, as JSON.
	CreationOptions(PasskeyCeremony) ([]byte, error)
	// Register checks the authenticator's answer and returns the record to keep.
	Register(c PasskeyCeremony, answer []byte) (PasskeyUse, error)
	// RequestOptions are for navigator.credentials.get, as JSON.
	RequestOptions(PasskeyCeremony) ([]byte, error)
	// Owner says whose passkey an answer claims to be of. Nothing is proved by that.
	Owner(answer []byte) (userID string, err error)
	// Assert checks the authenticator's answer.
	Assert(c PasskeyCeremony, answer []byte) (PasskeyUse, error)
}

// PasskeyCeremony is what both sides must agree about.
type PasskeyCeremony struct {
	Challenge []byte // random, used once
	UserID    string // "" until somebody has answered
	Email     string
	Name      string
	Records   [][]byte // the user's passkeys
	// MustVerify asks the authenticator for a finger, a face or a PIN: it then
	// counts as two factors.
	MustVerify bool
}

// PasskeyUse is an answer that was right.
type PasskeyUse struct {
	Index    int    // which of the ceremony's records it was
	Record   []byte // to keep from now on
	Counter  uint32 // of signatures; 0 where the authenticator has none
	Verified bool   // the authenticator knows its user by a finger, a face or a PIN
	Synced   bool   // the key may be on several devices
	Cloned   bool   // the counter went back: two devices have the key
}

// PasskeySetup is the first half of adding a passkey.
type PasskeySetup struct {
	Options []byte // for navigator.credentials.create, as JSON
	Setup   Secret // for ConfirmPasskey
}

const passkeyChallenge = 32 // bytes

// BeginPasskey asks for a new passkey.
func (s *Service) BeginPasskey(ctx context.Context, id Identity) (PasskeySetup, error) {
	if s.cfg.Passkeys == nil {
		return PasskeySetup{}, ErrPasskeyDisabled
	}
	u, list, err := s.mayChangeFactors(ctx, id)
	if err != nil {
		return PasskeySetup{}, err
	}
	if len(list) >= maxFactors {
		return PasskeySetup{}, ErrTooManyFactors
	}
	challenge := make([]byte, passkeyChallenge)
	rand.Read(challenge)
	c, err := s.ceremony(&u, list, challenge)
	if err != nil {
		return PasskeySetup{}, err
	}
	options, err := s.cfg.Passkeys.CreationOptions(c)
	if err != nil {
		return PasskeySetup{}, err
	}
	setup, err := s.newSetup(FactorPasskey, &id.Session, challenge)
	return PasskeySetup{options, setup}, err
}

// ConfirmPasskey adds the passkey that an authenticator has made.
func (s *Service) ConfirmPasskey(ctx context.Context, in EnrolInput) (Tokens, error) {
	if s.cfg.Passkeys == nil {
		return Tokens{}, ErrPasskeyDisabled
	}
	u, list, err := s.mayChangeFactors(ctx, in.Identity)
	if err != nil {
		return Tokens{}, err
	}
	name, err := checkName(in.Name)
	if err != nil {
		return Tokens{}, err
	}
	facts, err := s.openSetup(FactorPasskey, &in.Identity.Session, in.Setup)
	if err != nil {
		return Tokens{}, err
	}
	c, err := s.ceremony(&u, list, facts.Secret)
	if err != nil {
		return Tokens{}, err
	}
	made, err := s.cfg.Passkeys.Register(c, in.Answer)
	if err != nil {
		return Tokens{}, ErrCodeInvalid.because(err)
	}
	now := s.clock()
	f := Factor{ID: facts.FactorID, UserID: u.ID, Kind: FactorPasskey, Name: name, Counter: int64(made.Counter), CreatedAt: now, Version: 1}
	s.sealFactor(&f, made.Record)
	return s.enrol(ctx, f, in, proof{words: []string{made.word()}, second: true})
}

// ceremony gathers what a ceremony of a user's passkeys is about.
func (s *Service) ceremony(u *User, list []Factor, challenge []byte) (PasskeyCeremony, error) {
	c := PasskeyCeremony{Challenge: challenge, UserID: u.ID, Email: u.Email, Name: u.Name}
	for _, f := range ofKind(list, FactorPasskey) {
		record, err := s.openFactor(&f)
		if err != nil {
			return c, err
		}
		c.Records = append(c.Records, record)
	}
	return c, nil
}

// word is the method in RFC 8176: a key that stays in one piece of hardware, or
// one that is synced between devices.
func (p PasskeyUse) word() string {
	if p.Synced {
		return "swk"
	}
	return "hwk"
}

// provePasskey accepts the answer of one of the user's passkeys. alone asks it to
// be two factors in one.
func (s *Service) provePasskey(ctx context.Context, u *User, challenge, answer []byte, alone bool) (PasskeyUse, error) {
	if s.cfg.Passkeys == nil {
		return PasskeyUse{}, ErrPasskeyDisabled
	}
	list, err := s.listFactors(ctx, u.ID)
	if err != nil {
		return PasskeyUse{}, err
	}
	c, err := s.ceremony(u, list, challenge)
	if err != nil {
		return PasskeyUse{}, err
	}
	c.MustVerify = alone
	use, err := s.cfg.Passkeys.Assert(c, answer)
	if err != nil {
		return PasskeyUse{}, ErrCodeInvalid.because(err)
	}
	f := ofKind(list, FactorPasskey)[use.Index]
	switch {
	case use.Cloned:
		s.record(ctx, Event{Type: EventPasskeyCloned, UserID: u.ID})
		return PasskeyUse{}, ErrCodeInvalid
	case alone && !use.Verified:
		return PasskeyUse{}, ErrCodeInvalid
	}
	f.Counter, f.UsedAt = int64(use.Counter), s.clock()
	s.sealFactor(&f, use.Record)
	err = s.factors.UpdateFactor(ctx, f)
	if errors.Is(err, ErrConflict) {
		return PasskeyUse{}, errContended // the same passkey twice at once: whoever is honest tries again
	} else if err != nil {
		return PasskeyUse{}, outage("save factor", err)
	}
	return use, nil
}

// PasskeyLogin begins a login with nothing but a passkey: no name, no password.
func (s *Service) PasskeyLogin(from Caller) (Challenge, error) {
	if s.cfg.Passkeys == nil {
		return Challenge{}, ErrPasskeyDisabled
	}
	facts := s.newChallenge(challengePasskey, from.Device, passwordlessLife)
	facts.Factors = []FactorKind{FactorPasskey}
	return s.describe(facts, nil, nil)
}

// passwordlessLife is longer than that of other challenges: the login page may
// stay open for a while before the browser offers its passkeys.
const passwordlessLife = time.Hour
