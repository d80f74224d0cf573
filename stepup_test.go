package bitjang_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

func holding(c *bitjang.Config) { c.OnReuse = bitjang.HoldOnReuse }

// held brings a session on hold: its owner has mine, and a token that was
// exchanged long ago comes back.
func (r *rig) held(t *testing.T, old bitjang.Tokens) (mine bitjang.Tokens) {
	t.Helper()
	mine = r.refresh(t, r.refresh(t, old, fromLaptop), fromLaptop)
	r.clock.turn(time.Minute)
	r.refused(t, old, fromThief, bitjang.ErrStepUpRequired)
	return mine
}

func (r *rig) heldChallenge(t *testing.T, tokens bitjang.Tokens, from bitjang.Caller) bitjang.Challenge {
	t.Helper()
	_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: from})
	return challengeOf(t, err, bitjang.ErrStepUpRequired)
}

// told are the states of a session in the revocation feed.
func (r *rig) told(t *testing.T, id bitjang.SessionID) (states []bitjang.RevocationState) {
	t.Helper()
	list, _, err := r.store.Revocations(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.SessionID == id {
			states = append(states, e.State)
		}
	}
	return states
}

func TestAHeldSessionGoesOnUnderItsID(t *testing.T) {
	t.Parallel()
	r := newRig(t, holding)
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	mine := r.held(t, tokens)

	_, err := r.Authenticate(t.Context(), mine.Access)
	byAccess := challengeOf(t, err, bitjang.ErrStepUpRequired)
	c := r.heldChallenge(t, mine, fromLaptop)
	if c.Purpose != "hold" || c.HeldFor != "refresh_token_reuse" || !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorTOTP}) {
		t.Errorf("got %+v", c)
	}
	r.notProven(t, c, bitjang.FactorTOTP, a.next(), fromThief, bitjang.ErrChallengeInvalid) // another device
	r.notProven(t, c, bitjang.FactorTOTP, a.wrong(), fromLaptop, bitjang.ErrCodeInvalid)
	r.refused(t, mine, fromLaptop, bitjang.ErrStepUpRequired)

	generation := r.session(t, mine).Generation
	on := r.proven(t, c, bitjang.FactorTOTP, a.next(), fromLaptop)
	sess := r.session(t, on)
	if on.Session.ID != mine.Session.ID || !sess.HeldAt.IsZero() || sess.HeldFor != "" {
		t.Errorf("got session %+v, want the same one, no longer held", sess)
	}
	if sess.Generation <= generation || !sess.ChildAt.IsZero() || !sess.AuthTime.Equal(r.clock.now()) {
		t.Errorf("got %+v, want it moved on to a token without a child", sess.Rotation)
	}
	if got := r.told(t, sess.ID); !slices.Equal(got, []bitjang.RevocationState{bitjang.RevocationHeld, bitjang.RevocationLifted}) {
		t.Errorf("got feed %v", got)
	}
	r.authenticate(t, on)
	r.notProven(t, c, bitjang.FactorTOTP, a.next(), fromLaptop, bitjang.ErrChallengeInvalid)
	r.refused(t, mine, fromLaptop, bitjang.ErrSuperseded) // a straggler of the owner's
	on = r.refresh(t, on, fromLaptop)
	r.refresh(t, on, fromLaptop)
	if got := r.eventTypes(t, sess.UserID); !slices.Contains(got, bitjang.EventHoldLifted) {
		t.Errorf("got events %v", got)
	}

	// The second challenge is of the same hold, which is over. It makes nobody any
	// worse off, and still wants its proof.
	r.notProven(t, byAccess, bitjang.FactorTOTP, a.wrong(), fromLaptop, bitjang.ErrCodeInvalid)
}

// TestAStepUpLiftsNoHold has a challenge that was begun before the hold: what was
// noticed since then has not been shown to its user.
func TestAStepUpLiftsNoHold(t *testing.T) {
	t.Parallel()
	r := newRig(t, holding)
	old := r.login(t, fromLaptop)
	r.clock.turn(time.Second)
	none := time.Duration(0)
	c, done, err := r.StepUp(t.Context(), bitjang.StepUpInput{Identity: r.authenticate(t, old), MaxAge: &none})
	if err != nil || done {
		t.Fatal(done, err)
	}
	mine := r.held(t, old)
	r.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromLaptop, bitjang.ErrStepUpRequired)
	r.refused(t, mine, fromLaptop, bitjang.ErrStepUpRequired)
}

func TestWhoHasNoFactorProvesByMailOrElseThePassword(t *testing.T) {
	t.Parallel()
	t.Run("by mail", func(t *testing.T) {
		t.Parallel()
		m := newMailing(t, holding)
		mine := m.held(t, m.login(t, fromLaptop))
		c := m.heldChallenge(t, mine, fromLaptop)
		if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorEmail}) || c.Email != "a***@example.com" {
			t.Fatalf("got %v, %q", c.Factors, c.Email)
		}
		if err := m.SendCode(t.Context(), c.Token, fromThief); !errors.Is(err, bitjang.ErrChallengeInvalid) {
			t.Errorf("another device has a code sent: %v", err)
		}
		if err := m.SendCode(t.Context(), c.Token, fromLaptop); err != nil {
			t.Fatal(err)
		}
		code := m.code(t)
		other := m.heldChallenge(t, mine, fromLaptop)
		m.notProven(t, other, bitjang.FactorEmail, code, fromLaptop, bitjang.ErrCodeInvalid) // each challenge has a code of its own
		m.notProven(t, other, bitjang.FactorEmail, bitjang.Secret{}, fromLaptop, bitjang.ErrCodeInvalid)
		shows(t, m.proven(t, c, bitjang.FactorEmail, code, fromLaptop), "aal1", "pwd", "email")
	})
	for name, edit := range map[string]func(*bitjang.Config){
		"without mail":                  func(*bitjang.Config) {},
		"where mail codes do not count": func(c *bitjang.Config) { c.Mailer, c.NoMailCode = &postman{came: make(chan struct{}, 1)}, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, holding, edit)
			mine := r.held(t, r.login(t, fromLaptop))
			c := r.heldChallenge(t, mine, fromLaptop)
			if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorPassword}) {
				t.Fatalf("got %v", c.Factors)
			}
			r.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(wrongPass), fromLaptop, bitjang.ErrCodeInvalid)
			shows(t, r.proven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromLaptop), "aal1", "pwd")
		})
	}
}

// code waits for a mail with a code.
func (m *mailing) code(t *testing.T) bitjang.Secret {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		list := m.post.all()
		if i := slices.IndexFunc(list, func(got bitjang.Mail) bool { return got.Kind == bitjang.MailCode }); i >= 0 {
			return list[i].Code
		}
	}
	t.Fatal("no mail with a code")
	return bitjang.Secret{}
}

func TestAHoldThatNobodyAnswersExpires(t *testing.T) {
	t.Parallel()
	r := newRig(t, holding, func(c *bitjang.Config) { c.HoldTTL = time.Hour })
	mine := r.held(t, r.login(t, fromLaptop))
	r.clock.turn(time.Hour - 2*time.Second)
	c := r.heldChallenge(t, mine, fromLaptop)
	r.clock.turn(2 * time.Second)
	r.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromLaptop, bitjang.ErrSessionRevoked)
	_, err := r.Authenticate(t.Context(), mine.Access)
	if bitjang.AsError(err).Code != bitjang.Unauthenticated {
		t.Errorf("got %v", err)
	}
	_, err = r.Refresh(t.Context(), bitjang.RefreshInput{Token: mine.Refresh, Caller: fromLaptop})
	if !errors.Is(err, bitjang.ErrSessionRevoked) || bitjang.AsError(err).SessionEnd != bitjang.EndedByHold {
		t.Errorf("got %v for %q", err, bitjang.AsError(err).SessionEnd)
	}
	if sess := r.session(t, mine); sess.EndReason != bitjang.EndedByHold {
		t.Errorf("got %q", sess.EndReason)
	}
	ends := 0
	for range 2 { // it is told once
		r.refused(t, mine, fromLaptop, bitjang.ErrSessionRevoked)
	}
	for _, e := range r.userEvents(t, mine.Session.UserID) {
		if e.Reason == string(bitjang.EndedByHold) {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("got %d events", ends)
	}
}

// TestAnAnsweredHoldHasItsTimeBack: the wait of a hold is no limit of the session's.
func TestAnAnsweredHoldHasItsTimeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, holding, func(c *bitjang.Config) { c.HoldTTL = time.Hour })
	mine := r.held(t, r.login(t, fromLaptop))
	on := r.proven(t, r.heldChallenge(t, mine, fromLaptop), bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromLaptop)
	r.clock.turn(13 * 24 * time.Hour)
	r.refresh(t, on, fromLaptop)
}

// TestARefusalOfAHeldSessionWritesNothing: its client may come back all day.
func TestARefusalOfAHeldSessionWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, holding)
	mine := r.held(t, r.login(t, fromLaptop))
	r.store.watch(nil, nil)
	r.heldChallenge(t, mine, fromLaptop)
	for _, call := range r.store.calls() {
		if slices.Contains([]string{"UpdateSession", "InsertGrant", "InsertEvents", "InsertMail"}, call) {
			t.Errorf("the refusal called %s", call)
		}
	}
}

func TestAChallengeIsForOneDevicePasswordAndTenMinutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	c := r.asked(t, fromPhone)
	r.notProven(t, c, bitjang.FactorTOTP, a.next(), fromThief, bitjang.ErrChallengeInvalid)
	cut := c
	cut.Token = bitjang.NewSecret(c.Token.Reveal()[:40])
	r.notProven(t, cut, bitjang.FactorTOTP, a.code(), fromPhone, bitjang.ErrChallengeInvalid)
	r.clock.turn(10 * time.Minute)
	r.notProven(t, c, bitjang.FactorTOTP, a.code(), fromPhone, bitjang.ErrChallengeInvalid)

	c = r.asked(t, fromPhone)
	if err := r.SetPassword(t.Context(), tokens.Session.UserID, bitjang.NewSecret("another good password")); err != nil {
		t.Fatal(err)
	}
	r.notProven(t, c, bitjang.FactorTOTP, a.next(), fromPhone, bitjang.ErrChallengeInvalid)
}

func TestAChallengeOfAUserWhoIsLockedOpensNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	c := r.asked(t, fromPhone)
	if _, err := r.DisableUser(t.Context(), tokens.Session.UserID); err != nil {
		t.Fatal(err)
	}
	code := a.next()
	r.notProven(t, c, bitjang.FactorTOTP, code, fromPhone, bitjang.ErrUserDisabled)
	if _, err := r.EnableUser(t.Context(), tokens.Session.UserID); err != nil {
		t.Fatal(err)
	}
	r.proven(t, c, bitjang.FactorTOTP, code, fromPhone) // nothing was used up
}

// TestWrongCodesAreCountedPerChallengeAndPerUser guesses through new challenges,
// for which the password is enough.
func TestWrongCodesAreCountedPerChallengeAndPerUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, _ := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	c := r.asked(t, fromPhone)
	for range 5 {
		r.notProven(t, c, bitjang.FactorTOTP, a.wrong(), fromPhone, bitjang.ErrCodeInvalid)
	}
	right := a.next()
	r.notProven(t, c, bitjang.FactorTOTP, right, fromPhone, bitjang.ErrTooManyAttempts)
	for range 5 {
		r.notProven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, a.wrong(), fromPhone, bitjang.ErrCodeInvalid)
	}
	_, err := r.prove(t, r.asked(t, fromPhone), bitjang.FactorTOTP, right, fromPhone)
	if e := bitjang.AsError(err); !errors.Is(err, bitjang.ErrTooManyAttempts) || e.RetryAfter <= 0 || e.RetryAfter > 5*time.Minute {
		t.Fatalf("got %v, to be tried again after %v", err, e.RetryAfter)
	}
	r.clock.turn(5 * time.Minute)
	r.proven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, a.code(), fromPhone)
}

func TestARememberedDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	remember := func() bitjang.Caller {
		t.Helper()
		r.clock.turn(10 * time.Minute) // for the limit
		got, err := r.Prove(t.Context(), bitjang.ProveInput{
			Challenge: r.asked(t, fromPhone).Token, Factor: bitjang.FactorTOTP, Code: a.next(), Remember: true, Caller: fromPhone,
		})
		if err != nil || got.Remembered.IsZero() {
			t.Fatal("not remembered", err)
		}
		from := fromPhone
		from.Remembered = got.Remembered
		return from
	}
	known := remember()
	shows(t, r.login(t, known), "aal1", "pwd")
	stolen := fromThief
	stolen.Remembered = known.Remembered
	r.asked(t, stolen)
	nameless := known
	nameless.Device.ID = ""
	r.asked(t, nameless)

	r.clock.turn(30 * 24 * time.Hour)
	r.asked(t, known) // too long ago

	known = remember()
	fresh := r.proven(t, r.asked(t, fromLaptop), bitjang.FactorTOTP, a.next(), fromLaptop)
	if _, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, fresh), fromLaptop); err != nil {
		t.Fatal(err)
	}
	r.asked(t, known) // the factors have changed

	known = remember()
	r.login(t, known)
	if err := r.SetPassword(t.Context(), tokens.Session.UserID, bitjang.NewSecret(rightPass)); err != nil {
		t.Fatal(err)
	}
	r.asked(t, known) // the password has changed

	never := r.cfg
	never.RememberDevice = -1
	node := r.node(t, never)
	_, err := node.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: remember()})
	challengeOf(t, err, bitjang.ErrFactorRequired)
}

func TestWhoMustHaveAFactor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		roles []string
		must  bool
	}{{nil, false}, {[]string{"owner"}, false}, {[]string{"owner", "author"}, true}, {[]string{bitjang.RequireEveryone}, true}} {
		t.Run(fmt.Sprint(tt.roles), func(t *testing.T) {
			t.Parallel()
			m := newMailing(t, func(c *bitjang.Config) { c.RequireFactor = tt.roles })
			m.addAda(t)
			if !tt.must {
				m.login(t, fromLaptop)
				return
			}
			c := m.asked(t, fromLaptop)
			if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorEmail}) {
				t.Fatalf("got %v", c.Factors)
			}
			if err := m.SendCode(t.Context(), c.Token, fromLaptop); err != nil {
				t.Fatal(err)
			}
			// Mail is no second factor in the sense of NIST SP 800-63B.
			shows(t, m.proven(t, c, bitjang.FactorEmail, m.code(t), fromLaptop), "aal1", "pwd", "email")
		})
	}
}

// TestADeviceIsRememberedForOneUser has two users who differ in nothing else that
// is looked at.
func TestADeviceIsRememberedForOneUser(t *testing.T) {
	t.Parallel()
	m := newMailing(t, func(c *bitjang.Config) { c.RequireFactor = []string{bitjang.RequireEveryone} })
	m.addAda(t)
	if _, err := m.AddUser(t.Context(), bitjang.AddUserInput{Email: "eve@example.com", Password: bitjang.NewSecret(rightPass)}); err != nil {
		t.Fatal(err)
	}
	c := m.asked(t, fromPhone)
	if err := m.SendCode(t.Context(), c.Token, fromPhone); err != nil {
		t.Fatal(err)
	}
	got, err := m.Prove(t.Context(), bitjang.ProveInput{Challenge: c.Token, Factor: bitjang.FactorEmail, Code: m.code(t), Remember: true, Caller: fromPhone})
	if err != nil {
		t.Fatal(err)
	}
	from := fromPhone
	from.Remembered = got.Remembered
	m.login(t, from)
	_, err = m.Login(t.Context(), bitjang.LoginInput{Identifier: "eve@example.com", Password: bitjang.NewSecret(rightPass), Caller: from})
	challengeOf(t, err, bitjang.ErrFactorRequired)
}

// TestTheFirstFactorIsSetUpOnce has two challenges with a setup each, begun by
// whoever knew the password: after the first was met, the second is worth nothing.
func TestTheFirstFactorIsSetUpOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.RequireFactor = []string{bitjang.RequireEveryone} })
	r.addAda(t)
	mine, other := r.asked(t, fromLaptop), r.asked(t, fromPhone)
	a, b := newApp(t, mine.Setup.Secret, r.clock), newApp(t, other.Setup.Secret, r.clock)
	again, err := r.Challenge(t.Context(), mine.Token, fromLaptop)
	if err != nil || again.Setup.Secret.Reveal() != mine.Setup.Secret.Reveal() {
		t.Errorf("the setup is another one when it is shown again: %v", err)
	}
	shows(t, r.proven(t, mine, bitjang.FactorTOTP, a.code(), fromLaptop), "aal2", "pwd", "otp", "mfa")
	r.notProven(t, other, bitjang.FactorTOTP, b.code(), fromPhone, bitjang.ErrChallengeInvalid)
	if c := r.asked(t, fromPhone); c.Setup != nil {
		t.Error("a second setup for the password alone")
	}
}

func TestStepUpRaisesASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, _ := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	got, err := r.Prove(t.Context(), bitjang.ProveInput{Challenge: r.asked(t, fromPhone).Token, Factor: bitjang.FactorTOTP, Code: a.next(), Remember: true, Caller: fromPhone})
	if err != nil {
		t.Fatal(err)
	}
	from := fromPhone
	from.Remembered = got.Remembered
	weak := r.login(t, from)
	shows(t, weak, "aal1", "pwd")
	want := bitjang.StepUpInput{Identity: r.authenticate(t, weak), ACR: "aal2"}
	c, done, err := r.StepUp(t.Context(), want)
	if err != nil || done || !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorTOTP}) {
		t.Fatal(c.Factors, done, err)
	}
	high := r.proven(t, c, bitjang.FactorTOTP, a.next(), fromPhone)
	shows(t, high, "aal2", "pwd", "otp", "mfa")
	if high.Session.ID != weak.Session.ID {
		t.Error("the session is another one")
	}
	r.refused(t, weak, fromPhone, bitjang.ErrSuperseded)
	want.Identity = r.authenticate(t, high)
	if _, done, err := r.StepUp(t.Context(), want); err != nil || !done {
		t.Errorf("asked again: %v", err)
	}
	minute := time.Minute
	want.MaxAge = &minute
	r.clock.turn(time.Minute)
	if _, done, err = r.StepUp(t.Context(), want); err != nil || !done {
		t.Errorf("within the age: %v", err)
	}
	r.clock.turn(time.Millisecond)
	if _, done, err = r.StepUp(t.Context(), want); err != nil || done {
		t.Errorf("beyond the age: done %v, %v", done, err)
	}
	if next := r.refresh(t, high, fromPhone); bitjang.ClaimsOf(next).ACR != "aal2" || bitjang.ClaimsOf(next).AuthTime != bitjang.ClaimsOf(high).AuthTime {
		t.Error("a refresh changes what was proved, or when")
	}
}

// TestNobodyIsAskedTwiceForOneJourney: what was noticed is what the session is
// compared with from then on.
func TestNobodyIsAskedTwiceForOneJourney(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) {
		c.RiskRules = []bitjang.RiskRule{{Signals: []string{"network_changed"}, Action: bitjang.RiskHold}}
	})
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	abroad := fromLaptop
	abroad.IP = fromThief.IP
	r.clock.turn(time.Hour)
	c := r.heldChallenge(t, tokens, abroad)
	if c.HeldFor != "risk" {
		t.Fatalf("got held for %q", c.HeldFor)
	}
	tokens = r.proven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), abroad)
	for range 3 {
		r.clock.turn(time.Hour)
		tokens = r.refresh(t, tokens, abroad)
	}
	r.refused(t, tokens, fromLaptop, bitjang.ErrStepUpRequired) // the way home is another one
}

func TestNothingIsTheSameAsAnEmptySecret(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		got, want string
		same      bool
	}{{"", "", false}, {"1", "", false}, {"", "1", false}, {"12", "1", false}, {"1", "1", true}} {
		if bitjang.SameSecret(tt.got, tt.want) != tt.same {
			t.Errorf("%q and %q: got %v", tt.got, tt.want, !tt.same)
		}
	}
}
