package bitjang

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// aal2 is two factors, or a passkey that knows its user.
const aal2 = "aal2"

// proof is what somebody has just shown.
type proof struct {
	words  []string // RFC 8176
	second bool     // something that is not the password and not the mailbox
	alone  bool     // two factors in one: a passkey that knows its user
}

// waysToProve is the policy, in one place: what may answer a challenge.
//
//	the user has an app or a passkey      those, and recovery codes
//	has none, logs in, and must have one  a code by mail, else an app is set up
//	has none, the session is on hold      a code by mail, else the password
//	has none, is to prove it once more    the password
//
// The mail code is never offered beside something stronger, nor to somebody who
// has shown nothing but the mailbox.
func (s *Service) waysToProve(purpose challengePurpose, list []Factor, shown []string) []FactorKind {
	if hasStrong(list) {
		var ways []FactorKind
		for _, kind := range []FactorKind{FactorPasskey, FactorTOTP, FactorRecovery} {
			if slices.ContainsFunc(ofKind(list, kind), s.usable) {
				ways = append(ways, kind)
			}
		}
		return ways
	}
	mail := s.cfg.Mailer != nil && !s.cfg.NoMailCode
	switch {
	case purpose == challengeLogin && mail && slices.Contains(shown, "pwd"):
		return []FactorKind{FactorEmail}
	case purpose == challengeLogin:
		return []FactorKind{FactorTOTP} // with a setup
	case purpose == challengeHold && mail:
		return []FactorKind{FactorEmail}
	}
	return []FactorKind{FactorPassword}
}

// usable says whether a factor can prove anything now.
func (s *Service) usable(f Factor) bool {
	switch f.Kind {
	case FactorPasskey:
		return s.cfg.Passkeys != nil
	case FactorRecovery:
		return f.Counter > 0 // codes are left
	}
	return true
}

// waysLeft is waysToProve once more, for a challenge that was made a while ago:
// what the user has removed or used up since is no way any more, and what was
// asked for because there was nothing better is none beside something better.
func (s *Service) waysLeft(facts *challengeFacts, list []Factor) ([]FactorKind, error) {
	if facts.Purpose == challengePasskey {
		return facts.Factors, nil
	}
	if facts.Setup != nil && hasStrong(list) {
		return nil, ErrChallengeInvalid // that one is asked for
	}
	now := s.waysToProve(facts.Purpose, list, facts.Shown)
	left := slices.DeleteFunc(slices.Clone(facts.Factors), func(k FactorKind) bool { return !slices.Contains(now, k) })
	if len(left) == 0 {
		return nil, ErrChallengeInvalid
	}
	return left, nil
}

// mustHaveFactor is the policy for who needs a second factor to log in.
func (s *Service) mustHaveFactor(u *User) bool {
	return slices.ContainsFunc(s.cfg.RequireFactor, func(role string) bool {
		return role == RequireEveryone || slices.Contains(u.Roles, role)
	})
}

// demandFactor is nil for whoever may log in with what they have shown.
func (s *Service) demandFactor(ctx context.Context, u *User, from Caller, shown string) error {
	list, err := s.listFactors(ctx, u.ID)
	if err != nil {
		return err
	}
	if !hasStrong(list) && !s.mustHaveFactor(u) {
		return nil
	}
	if s.remembers(u, list, from) {
		return nil
	}
	facts := s.newChallenge(challengeLogin, from.Device, challengeLife)
	facts.UserID, facts.Shown, facts.PasswordVersion, facts.Email = u.ID, []string{shown}, u.PasswordVersion, u.Email
	facts.Factors = s.waysToProve(challengeLogin, list, facts.Shown)
	if !hasStrong(list) && slices.Contains(facts.Factors, FactorTOTP) {
		facts.Setup = &setupFacts{FactorID: newUUID(), Secret: facts.WebAuthn[:totpSecret], ExpiresAt: facts.ExpiresAt}
	}
	c, err := s.describe(facts, u, list)
	if err != nil {
		return err
	}
	return ErrFactorRequired.asking(c)
}

// ProveInput answers a challenge.
type ProveInput struct {
	Challenge Secret
	Factor    FactorKind
	Code      Secret // of an app, a mail, a recovery code; the password
	Answer    []byte // of a passkey: the PublicKeyCredential as JSON
	Remember  bool   // the device needs no second factor for Config.RememberDevice
	Refresh   Secret // the session's refresh token, if the client sent it along
	Caller    Caller
}

// Prove answers a challenge with one of its factors. A login then opens a
// session; a session that was on hold, or is to be worth more, goes on under its
// id with new tokens.
func (s *Service) Prove(ctx context.Context, in ProveInput) (Tokens, error) {
	if err := s.showKey(&in.Caller); err != nil {
		return Tokens{}, err
	}
	started := time.Now() // a stopwatch, not a date
	tokens, err := s.prove(ctx, in)
	if errors.Is(err, ErrCodeInvalid) && in.Factor == FactorPassword {
		sleep(ctx, failureFloor-time.Since(started))
	}
	return tokens, err
}

func (s *Service) prove(ctx context.Context, in ProveInput) (Tokens, error) {
	in.Caller.Device = in.Caller.Device.bounded()
	facts, err := s.openChallenge(in.Challenge, in.Caller)
	if err != nil {
		return Tokens{}, err
	}
	if !slices.Contains(facts.Factors, in.Factor) {
		return Tokens{}, invalid("factor_invalid", "This challenge wants another factor.")
	}
	if facts.Purpose == challengePasskey {
		if s.cfg.Passkeys == nil {
			return Tokens{}, ErrPasskeyDisabled
		}
		if facts.UserID, err = s.cfg.Passkeys.Owner(in.Answer); err != nil {
			return Tokens{}, ErrCodeInvalid.because(err)
		}
	}
	u, list, err := s.challenged(ctx, facts.UserID)
	switch {
	case facts.Purpose == challengePasskey && errors.Is(err, ErrChallengeInvalid):
		return Tokens{}, ErrCodeInvalid // a passkey of an account that is gone
	case err != nil:
		return Tokens{}, err
	}
	if err := s.stillAsked(ctx, &facts, &u, in.Caller); err != nil {
		return Tokens{}, err
	}
	left, err := s.waysLeft(&facts, list)
	if err == nil && !slices.Contains(left, in.Factor) {
		err = ErrChallengeInvalid
	}
	if err != nil {
		return Tokens{}, err
	}
	if err := s.spendTry(ctx, &facts, in.Factor); err != nil {
		return Tokens{}, err
	}
	p, err := s.check(ctx, &facts, &u, list, in)
	if errors.Is(err, ErrCodeInvalid) {
		e := by(in.Caller, EventFactorFailed, u.ID)
		e.SessionID, e.Reason = facts.session(), string(in.Factor)
		s.record(ctx, e)
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.proven(ctx, &facts, u, p, in)
}

func (f *challengeFacts) session() SessionID {
	id, err := ParseSessionID(f.SessionID)
	if err != nil {
		return SessionID{} // a login has none yet
	}
	return id
}

// stillAsked looks whether what a challenge was made for still holds, and for a
// session whether this is its device.
func (s *Service) stillAsked(ctx context.Context, facts *challengeFacts, u *User, from Caller) error {
	switch facts.Purpose {
	case challengeLogin:
		if facts.PasswordVersion != u.PasswordVersion || facts.Email != u.Email {
			return ErrChallengeInvalid
		}
	case challengePasskey:
		if s.cfg.VerifyEmail == VerifyRequired && u.EmailVerifiedAt.IsZero() {
			return ErrInvalidCredentials
		}
	default:
		sess, err := s.SessionByID(ctx, facts.session())
		if errors.Is(err, ErrNoSuchSession) {
			return ErrSessionUnknown
		} else if err != nil {
			return err
		}
		if sess.UserID != u.ID || !sess.own(from) && !sameDevice(sess.Device, from.Device) {
			return ErrChallengeInvalid
		}
		if sess.bound(from) {
			return unproven(from) // the challenge stays good
		}
	}
	return nil
}

// check checks an answer. Only what was right comes back without an error, and
// then the challenge is used up.
func (s *Service) check(ctx context.Context, facts *challengeFacts, u *User, list []Factor, in ProveInput) (p proof, err error) {
	if in.Factor == FactorPasskey {
		// Nobody guesses an answer, so a wrong one may use the challenge up; and a
		// right one that comes twice must not look like a cloned key.
		if err := s.useUp(ctx, facts); err != nil {
			return p, err
		}
		use, err := s.provePasskey(ctx, u, facts.WebAuthn, in.Answer, facts.Purpose == challengePasskey)
		return proof{words: []string{use.word()}, second: true, alone: use.Verified}, err
	}
	switch in.Factor {
	case FactorTOTP:
		p = proof{words: []string{"otp"}, second: true}
		if facts.Setup == nil {
			err = s.proveTOTP(ctx, list, in.Code)
		} else {
			err = s.proveSetup(ctx, facts, u, in)
		}
	case FactorRecovery:
		p = proof{words: []string{"otp"}, second: true}
		err = s.proveRecovery(ctx, list, in.Code)
	case FactorEmail:
		p = proof{words: []string{"email"}}
		if !sameSecret(plainCode(in.Code), facts.Code) {
			err = ErrCodeInvalid
		}
	case FactorPassword:
		p = proof{words: []string{"pwd"}}
		var match bool
		if match, _, err = s.checkPassword(ctx, u, in.Code); err == nil && !match {
			err = ErrCodeInvalid
		}
	default:
		err = fmt.Errorf("check a factor of kind %q", in.Factor)
	}
	if err != nil {
		return p, err
	}
	return p, s.useUp(ctx, facts)
}

// proveSetup adds the first factor of a user who must have one, by its first code.
func (s *Service) proveSetup(ctx context.Context, facts *challengeFacts, u *User, in ProveInput) error {
	f, err := s.newTOTP(u.ID, "", *facts.Setup, in.Code)
	if err != nil {
		return err
	}
	return s.insertFactor(ctx, f, &Session{UserID: u.ID}, in.Caller)
}

// proven does what a challenge was for.
func (s *Service) proven(ctx context.Context, facts *challengeFacts, u User, p proof, in ProveInput) (Tokens, error) {
	if facts.Purpose == challengeHold || facts.Purpose == challengeRaise {
		return s.goOn(ctx, facts, p, in)
	}
	p.words = append(slices.Clone(facts.Shown), p.words...)
	p.second = p.second && len(facts.Shown) > 0
	if err := s.emailShown(ctx, &u, p, in.Caller); err != nil {
		return Tokens{}, err
	}
	tokens, err := s.enter(ctx, u, in.Caller, p)
	if err != nil || !in.Remember || facts.Purpose != challengeLogin {
		return tokens, err
	}
	list, err := s.listFactors(ctx, u.ID)
	if err != nil {
		return Tokens{}, err
	}
	tokens.Remembered, tokens.RememberedUntil, err = s.remember(&u, list, tokens.Session.Device)
	return tokens, err
}

func (s *Service) emailShown(ctx context.Context, u *User, p proof, from Caller) error {
	if !slices.Contains(p.words, "email") {
		return nil
	}
	return s.emailReached(ctx, u, from)
}

// proved notes what has been shown now, and what the session is worth with it.
// It is never worth less than before.
func (s *Session) proved(p proof, now time.Time) {
	s.AuthTime = now
	words := slices.DeleteFunc(slices.Clone(s.AMR), func(w string) bool { return w == "mfa" })
	for _, w := range p.words {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if setDefault(&s.ACR, aal1); p.second || p.alone {
		s.ACR = aal2
	}
	if s.ACR == aal2 {
		words = append(words, "mfa")
	}
	s.AMR = words
}

// goOn lets a session go on under its id. Whoever holds one of its older tokens
// is a straggler at best.
func (s *Service) goOn(ctx context.Context, facts *challengeFacts, p proof, in ProveInput) (Tokens, error) {
	held := refreshToken{generation: facts.Generation, nonce: Nonce{}}
	copy(held.nonce[:], facts.Held)
	m := moving{session: facts.session(), held: held, presented: in.Refresh, lift: facts.Purpose == challengeHold}
	lifted := ""
	tokens, err := s.moveAlong(ctx, m, in.Caller, func(sess *Session, now time.Time) {
		lifted = sess.HeldFor
		sess.HeldAt, sess.HeldFor = time.Time{}, ""
		sess.proved(p, now)
	})
	if err != nil {
		return Tokens{}, err
	}
	e := happened(EventStepUp, &tokens.Session, in.Caller, strings.Join(p.words, " "))
	if facts.Purpose == challengeHold && lifted != "" {
		e.Type = EventHoldLifted
	}
	s.record(ctx, e)
	return tokens, nil
}
