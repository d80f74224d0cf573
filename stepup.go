package bitjang

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"
)

// hold freezes a session until its user proves who they are. Nobody who waits
// longer than Config.HoldTTL can: the session then expires like an idle one, and
// says why. That takes no index and no write of the sweeper's.
func (s *Service) hold(sess *Session, why string, now time.Time) {
	sess.HeldAt, sess.HeldFor = now, why
	if until := now.Add(s.cfg.HoldTTL); until.Before(sess.IdleExpiresAt) {
		sess.IdleExpiresAt = until
	}
}

// holdExpired says that nobody has answered a hold in time.
func (s *Session) holdExpired(now time.Time) bool {
	return s.EndedAt.IsZero() && !s.HeldAt.IsZero() && s.stateAt(now) == stateExpired
}

// withChallenge adds to the refusal of a held session what would help. held is
// the newest refresh token that the client is known to have. Where the factors
// cannot be read the refusal stands as it is.
func (s *Service) withChallenge(ctx context.Context, err error, sess *Session, held refreshToken) error {
	if !errors.Is(err, ErrStepUpRequired) || sess.ofClient() { // a client sends its person to authorize once more
		return err
	}
	u, list, failure := s.challenged(ctx, sess.UserID)
	if failure != nil {
		return err
	}
	c, failure := s.askSession(challengeHold, sess, held, &u, list)
	if failure != nil {
		s.log.Error("challenge not made", "session", sess.ID.String(), "error", failure)
		return err
	}
	return ErrStepUpRequired.asking(c)
}

func (s *Service) askSession(purpose challengePurpose, sess *Session, held refreshToken, u *User, list []Factor) (Challenge, error) {
	facts := s.newChallenge(purpose, sess.Device, challengeLife)
	facts.UserID, facts.SessionID, facts.HeldFor = sess.UserID, sess.ID.String(), sess.HeldFor
	facts.Generation, facts.Held = held.generation, held.nonce[:]
	facts.Factors = s.waysToProve(purpose, list, sess.AMR)
	return s.describe(facts, u, list)
}

// askAgain is the refusal of what wants a fresh proof.
func (s *Service) askAgain(id Identity, u *User, list []Factor) error {
	held, _ := heldWith(id.Claims)
	c, err := s.askSession(challengeRaise, &id.Session, held, u, list)
	if err != nil {
		return err
	}
	return ErrProveAgain.asking(c)
}

// StepUpInput says what a session is to be worth (RFC 9470).
type StepUpInput struct {
	Identity Identity // from Authenticate
	ACR      string   // "aal1", "aal2" or "": any
	MaxAge   *time.Duration
	Caller   Caller
}

// StepUp asks the user of a session to prove more. done says that the session is
// worth as much already, and nothing is asked.
func (s *Service) StepUp(ctx context.Context, in StepUpInput) (c Challenge, done bool, err error) {
	if in.ACR != "" && in.ACR != aal1 && in.ACR != aal2 {
		return c, false, invalid("acr_invalid", "The levels are aal1 and aal2.")
	}
	sess := &in.Identity.Session
	high := in.ACR != aal2 || sess.ACR == aal2
	recent := in.MaxAge == nil || !s.clock().After(sess.AuthTime.Add(*in.MaxAge))
	if high && recent {
		return c, true, nil
	}
	u, list, err := s.challenged(ctx, sess.UserID)
	if err != nil {
		return c, false, err
	}
	if !high && !hasStrong(list) {
		return c, false, ErrFactorMissing
	}
	held, _ := heldWith(in.Identity.Claims)
	c, err = s.askSession(challengeRaise, sess, held, &u, list)
	return c, false, err
}

// SendCode mails the code of a challenge that takes one.
func (s *Service) SendCode(ctx context.Context, token Secret, from Caller) error {
	facts, err := s.openChallenge(token, from)
	if err != nil {
		return err
	}
	if facts.Purpose == challengePasskey || !slices.Contains(facts.Factors, FactorEmail) {
		return invalid("factor_invalid", "This challenge wants another factor.")
	}
	u, list, err := s.challenged(ctx, facts.UserID)
	if err != nil {
		return err
	}
	if _, err := s.waysLeft(&facts, list); err != nil {
		return err // of a code by mail it is the only way
	}
	if err := s.stillAsked(ctx, &facts, &u, from); err != nil {
		return err
	}
	if err := s.spend(ctx, limitMailbox, u.Email); err != nil {
		return err
	}
	m := Mail{Kind: MailCode, To: u.Email, Name: u.Name, Language: u.Language, Code: NewSecret(facts.Code), ExpiresAt: facts.ExpiresAt}
	m.At, m.Device, m.IP = s.clock(), from.Device.bounded(), from.IP
	setDefault(&m.Language, from.Language)
	return s.send(ctx, m)
}

// sameSecret compares without telling how far two texts agree. Nothing is the
// same as an empty secret.
func sameSecret(got, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// rememberedFacts is a device that needs no second factor for a while. It holds
// for one user, device and password, and for these factors.
type rememberedFacts struct {
	UserID          string    `json:"u"`
	Device          []byte    `json:"d"`
	PasswordVersion int64     `json:"v"`
	Factors         []byte    `json:"f"`
	ExpiresAt       time.Time `json:"e"`
}

func (s *Service) remember(u *User, list []Factor, d Device) (Secret, time.Time, error) {
	if s.cfg.RememberDevice <= 0 || d.ID == "" {
		return Secret{}, time.Time{}, nil
	}
	until := s.clock().Add(s.cfg.RememberDevice)
	token, err := s.sealToken(rememberedPrefix, rememberedSeal, rememberedFacts{u.ID, deviceMark(d), u.PasswordVersion, factorMark(list), until})
	return token, until, err
}

// remembers says whether the caller's device was remembered and nothing has
// changed since.
func (s *Service) remembers(u *User, list []Factor, from Caller) bool {
	var facts rememberedFacts
	if s.cfg.RememberDevice <= 0 || from.Device.ID == "" || from.Remembered.IsZero() {
		return false
	}
	if s.openToken(rememberedPrefix, rememberedSeal, from.Remembered, &facts) != nil {
		return false
	}
	return facts.UserID == u.ID && string(facts.Device) == string(deviceMark(from.Device)) && facts.PasswordVersion == u.PasswordVersion &&
		string(facts.Factors) == string(factorMark(list)) && s.clock().Before(facts.ExpiresAt)
}
