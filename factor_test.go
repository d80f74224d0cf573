package bitjang_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// app is an authenticator app.
type app struct {
	secret []byte
	clock  *wallClock
}

func newApp(t *testing.T, base32Secret bitjang.Secret, clock *wallClock) app {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(base32Secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return app{secret, clock}
}

func (a app) code() bitjang.Secret {
	return bitjang.NewSecret(bitjang.TOTPCode(a.secret, a.clock.now().Unix()))
}

// next is a code that has not been used yet.
func (a app) next() bitjang.Secret {
	a.clock.turn(30 * time.Second)
	return a.code()
}

// wrong is a code that no step nearby has.
func (a app) wrong() bitjang.Secret {
	for n := 0; ; n++ {
		code := fmt.Sprintf("%06d", n)
		near := false
		for d := int64(-3); d <= 3; d++ {
			near = near || bitjang.TOTPCode(a.secret, a.clock.now().Unix()+30*d) == code
		}
		if !near {
			return bitjang.NewSecret(code)
		}
	}
}

// addApp gives the user of a session an authenticator app.
func (r *rig) addApp(t *testing.T, tokens bitjang.Tokens, from bitjang.Caller) (app, bitjang.Tokens) {
	t.Helper()
	id := r.authenticate(t, tokens)
	setup, err := r.BeginTOTP(t.Context(), id)
	if err != nil {
		t.Fatalf("BeginTOTP: %v", err)
	}
	a := newApp(t, setup.Secret, r.clock)
	next, err := r.ConfirmTOTP(t.Context(), bitjang.EnrolInput{
		Identity: id, Setup: setup.Setup, Name: "phone", Code: a.code(), Refresh: tokens.Refresh, Caller: from,
	})
	if err != nil {
		t.Fatalf("ConfirmTOTP: %v", err)
	}
	return a, next
}

// asked logs ada in with her password and wants to be asked for more.
func (r *rig) asked(t *testing.T, from bitjang.Caller) bitjang.Challenge {
	t.Helper()
	tokens, err := r.Login(t.Context(), bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: from})
	if !tokens.Access.IsZero() || !tokens.Refresh.IsZero() {
		t.Error("the password alone got tokens")
	}
	return challengeOf(t, err, bitjang.ErrFactorRequired)
}

func challengeOf(t *testing.T, err, want error) bitjang.Challenge {
	t.Helper()
	if e := bitjang.AsError(err); !errors.Is(err, want) || e.Challenge == nil {
		t.Fatalf("got %v, want %v with a challenge", err, want)
	}
	return *bitjang.AsError(err).Challenge
}

func (r *rig) prove(t *testing.T, c bitjang.Challenge, kind bitjang.FactorKind, code bitjang.Secret, from bitjang.Caller) (bitjang.Tokens, error) {
	t.Helper()
	return r.Prove(t.Context(), bitjang.ProveInput{Challenge: c.Token, Factor: kind, Code: code, Caller: from})
}

func (r *rig) proven(t *testing.T, c bitjang.Challenge, kind bitjang.FactorKind, code bitjang.Secret, from bitjang.Caller) bitjang.Tokens {
	t.Helper()
	tokens, err := r.prove(t, c, kind, code, from)
	if err != nil {
		t.Fatalf("Prove: %v", err)
	}
	return tokens
}

func (r *rig) notProven(t *testing.T, c bitjang.Challenge, kind bitjang.FactorKind, code bitjang.Secret, from bitjang.Caller, want error) {
	t.Helper()
	tokens, err := r.prove(t, c, kind, code, from)
	if !errors.Is(err, want) || !tokens.Access.IsZero() || !tokens.Refresh.IsZero() {
		t.Fatalf("got %v, want %v and no tokens", err, want)
	}
}

func shows(t *testing.T, tokens bitjang.Tokens, acr string, amr ...string) {
	t.Helper()
	claims := bitjang.ClaimsOf(tokens)
	if claims.ACR != acr || !slices.Equal(claims.AMR, amr) {
		t.Errorf("got acr %s, amr %v, want %s, %v", claims.ACR, claims.AMR, acr, amr)
	}
}

// TestTOTPVectors are those of RFC 6238 appendix B for SHA-1, of which six digits are the last six.
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := bitjang.TOTPCode([]byte("12345678901234567890"), at); got != want[2:] {
			t.Errorf("at %d: got %s, want %s", at, got, want[2:])
		}
	}
}

// TestTOTPAgainstOathtool compares with another implementation.
func TestTOTPAgainstOathtool(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("oathtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("oathtool is missing: scripts/deps installs it")
		}
		t.Skip("oathtool is not installed")
	}
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	setup, err := r.BeginTOTP(t.Context(), r.authenticate(t, tokens))
	if err != nil {
		t.Fatal(err)
	}
	code := func() bitjang.Secret {
		out, err := exec.Command(program, "--totp", "--base32", "--now", r.clock.now().Format("2006-01-02 15:04:05 UTC"), setup.Secret.Reveal()).Output()
		if err != nil {
			t.Fatal(err)
		}
		return bitjang.NewSecret(strings.TrimSpace(string(out)))
	}
	_, err = r.ConfirmTOTP(t.Context(), bitjang.EnrolInput{Identity: r.authenticate(t, tokens), Setup: setup.Setup, Code: code(), Caller: fromLaptop})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r.clock.turn(11 * time.Minute)
		r.proven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, code(), fromPhone)
	}
}

func TestAPasswordIsNotEnoughWithASecondFactor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.login(t, fromLaptop)
	shows(t, first, "aal1", "pwd")
	a, tokens := r.addApp(t, first, fromLaptop)
	shows(t, tokens, "aal2", "pwd", "otp", "mfa")
	if tokens.Session.ID != first.Session.ID {
		t.Error("the session is another one")
	}
	r.refused(t, first, fromLaptop, bitjang.ErrSuperseded)

	c := r.asked(t, fromPhone)
	if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorTOTP}) {
		t.Errorf("got factors %v", c.Factors)
	}
	r.notProven(t, c, bitjang.FactorTOTP, a.code(), fromPhone, bitjang.ErrCodeInvalid) // used when it was enrolled
	r.notProven(t, c, bitjang.FactorTOTP, a.wrong(), fromPhone, bitjang.ErrCodeInvalid)
	r.notProven(t, c, bitjang.FactorTOTP, bitjang.Secret{}, fromPhone, bitjang.ErrCodeInvalid)
	r.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromPhone, &bitjang.Error{Reason: "factor_invalid"})
	r.notProven(t, c, bitjang.FactorEmail, bitjang.Secret{}, fromPhone, &bitjang.Error{Reason: "factor_invalid"})
	right := a.next()
	second := r.proven(t, c, bitjang.FactorTOTP, right, fromPhone)
	shows(t, second, "aal2", "pwd", "otp", "mfa")
	if second.User == nil {
		t.Error("a login without its user")
	}
	r.notProven(t, c, bitjang.FactorTOTP, a.next(), fromPhone, bitjang.ErrChallengeInvalid) // it was met
	if got := r.eventTypes(t, first.Session.UserID); !slices.Contains(got, bitjang.EventFactorAdded) || !slices.Contains(got, bitjang.EventFactorFailed) {
		t.Errorf("got events %v", got)
	}
	if strings.Contains(r.log.String(), right.Reveal()) || strings.Contains(r.log.String(), c.Token.Reveal()) {
		t.Error("a secret is in the log")
	}
}

func TestACodeIsAcceptedWithinOneStepAndOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, _ := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	at := func(d time.Duration) bitjang.Secret {
		return bitjang.NewSecret(bitjang.TOTPCode(a.secret, r.clock.now().Add(d).Unix()))
	}
	r.clock.turn(5 * time.Minute)
	c := r.asked(t, fromPhone)
	for _, far := range []time.Duration{-time.Minute, time.Minute} {
		r.notProven(t, c, bitjang.FactorTOTP, at(far), fromPhone, bitjang.ErrCodeInvalid)
	}
	r.proven(t, c, bitjang.FactorTOTP, at(30*time.Second), fromPhone)
	for _, older := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		r.notProven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, at(older), fromPhone, bitjang.ErrCodeInvalid)
	}
	r.clock.turn(2 * time.Minute)
	r.proven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, at(-30*time.Second), fromPhone)
	spaced := at(30 * time.Second).Reveal()
	r.proven(t, r.asked(t, fromPhone), bitjang.FactorTOTP, bitjang.NewSecret(spaced[:3]+" "+spaced[3:]), fromPhone)
}

// boundless is a store in which no limit is ever reached, so that every try is
// compared and not only the first ten.
type boundless struct{ bitjang.Store }

func (boundless) Spend(_ context.Context, sp bitjang.Spending) (time.Time, bool, error) {
	return sp.Now, true, nil
}

// atOnce counts who gets in of many that come together, each with a challenge of
// its own, at several nodes.
func (r *rig) atOnce(t *testing.T, nodes []*bitjang.Service, kind bitjang.FactorKind, code bitjang.Secret) int {
	t.Helper()
	var challenges []bitjang.Challenge
	for range 32 {
		challenges = append(challenges, r.asked(t, fromPhone))
	}
	var all sync.WaitGroup
	var in atomic.Int32
	start := make(chan struct{})
	for i, c := range challenges {
		all.Go(func() {
			<-start
			_, err := nodes[i%len(nodes)].Prove(t.Context(), bitjang.ProveInput{Challenge: c.Token, Factor: kind, Code: code, Caller: fromPhone})
			if err == nil {
				in.Add(1)
			} else if !errors.Is(err, bitjang.ErrCodeInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	close(start)
	all.Wait()
	return int(in.Load())
}

func TestOfManyWithOneCodeOneGetsIn(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) bitjang.Store{
		"memory": func(*testing.T) bitjang.Store { return memory.New() },
		"SQLite": func(t *testing.T) bitjang.Store {
			st, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "bitjang.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			return st
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) { c.Store = boundless{open(t)} })
			a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
			codes, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, tokens), fromLaptop)
			if err != nil {
				t.Fatal(err)
			}
			nodes := []*bitjang.Service{r.Service, r.node(t, r.cfg)}
			if err := nodes[1].LoadKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.atOnce(t, nodes, bitjang.FactorTOTP, a.next()); got != 1 {
				t.Errorf("%d got in with one TOTP code", got)
			}
			if got := r.atOnce(t, nodes, bitjang.FactorRecovery, codes[3]); got != 1 {
				t.Errorf("%d got in with one recovery code", got)
			}
			if got := r.atOnce(t, nodes[1:], bitjang.FactorRecovery, codes[3]); got != 0 {
				t.Errorf("%d got in with a recovery code that was used at the other node", got)
			}
		})
	}
}

// TestNobodyIsOfferedWhatTheyDoNotHave: what is asked for is there, also when it
// has gone since the question.
func TestNobodyIsOfferedWhatTheyDoNotHave(t *testing.T) {
	t.Parallel()
	r := newRig(t, withPasskeys, func(c *bitjang.Config) { c.Store = boundless{memory.New()} })
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	codes, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, tokens), fromLaptop)
	if err != nil {
		t.Fatal(err)
	}
	offers := func(c bitjang.Challenge, want ...bitjang.FactorKind) {
		t.Helper()
		seen, err := r.Challenge(t.Context(), c.Token, fromPhone)
		if err != nil || !slices.Equal(seen.Factors, want) {
			t.Errorf("got %v, %v, want %v", seen.Factors, err, want)
		}
	}
	early := r.asked(t, fromPhone)
	offers(early, bitjang.FactorTOTP, bitjang.FactorRecovery)
	for _, code := range codes {
		r.proven(t, r.asked(t, fromPhone), bitjang.FactorRecovery, code, fromPhone)
	}
	offers(r.asked(t, fromPhone), bitjang.FactorTOTP)
	offers(early, bitjang.FactorTOTP)
	r.notProven(t, early, bitjang.FactorRecovery, codes[0], fromPhone, bitjang.ErrChallengeInvalid)
	r.proven(t, early, bitjang.FactorTOTP, a.next(), fromPhone)

	// The app is replaced by a passkey between the question and the answer.
	early = r.asked(t, fromPhone)
	r.clock.turn(time.Minute)
	tokens = r.proven(t, r.asked(t, fromLaptop), bitjang.FactorTOTP, a.next(), fromLaptop)
	tokens = r.addPasskey(t, newAuthenticator(), tokens)
	list, err := r.Factors(t.Context(), tokens.Session.UserID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if f.Kind == bitjang.FactorTOTP {
			if err := r.RemoveFactor(t.Context(), r.authenticate(t, tokens), f.ID, fromLaptop); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := r.Challenge(t.Context(), early.Token, fromPhone); !errors.Is(err, bitjang.ErrChallengeInvalid) {
		t.Errorf("a question that nothing answers: got %v", err)
	}
	r.notProven(t, early, bitjang.FactorTOTP, a.next(), fromPhone, bitjang.ErrChallengeInvalid)

	// And then the service gives passkeys up.
	without := r.cfg
	without.Passkeys = nil
	node := r.node(t, without)
	if err := node.LoadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := bitjang.LoginInput{Identifier: ada, Password: bitjang.NewSecret(rightPass), Caller: fromPhone}
	if got, err := node.Login(t.Context(), in); !errors.Is(err, bitjang.ErrPasskeyDisabled) || !got.Refresh.IsZero() {
		t.Errorf("got %v, want %v", err, bitjang.ErrPasskeyDisabled)
	}
}

// TestAWeakerWayIsNoneBesideAStrongerOne: somebody who was asked for a code by
// mail and has added an app meanwhile is asked for the app.
func TestAWeakerWayIsNoneBesideAStrongerOne(t *testing.T) {
	t.Parallel()
	m := newMailing(t, holding)
	mine := m.held(t, m.login(t, fromLaptop))
	other := m.login(t, fromPhone)
	c := m.heldChallenge(t, mine, fromLaptop)
	if err := m.SendCode(t.Context(), c.Token, fromLaptop); err != nil {
		t.Fatal(err)
	}
	code := m.code(t)
	a, _ := m.addApp(t, other, fromPhone)
	m.notProven(t, c, bitjang.FactorEmail, code, fromLaptop, bitjang.ErrChallengeInvalid)
	if err := m.SendCode(t.Context(), c.Token, fromLaptop); !errors.Is(err, bitjang.ErrChallengeInvalid) {
		t.Errorf("another code: got %v", err)
	}
	m.proven(t, m.heldChallenge(t, mine, fromLaptop), bitjang.FactorTOTP, a.next(), fromLaptop)
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.login(t, fromLaptop)
	if _, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, first), fromLaptop); !errors.Is(err, bitjang.ErrFactorMissing) {
		t.Errorf("without a factor: got %v", err)
	}
	_, tokens := r.addApp(t, first, fromLaptop)
	codes, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, tokens), fromLaptop)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range codes {
		seen[c.Reveal()] = true
	}
	if len(seen) != 10 || len(codes[0].Reveal()) != 11 {
		t.Fatalf("got %d codes of length %d", len(seen), len(codes[0].Reveal()))
	}
	c := r.asked(t, fromPhone)
	r.notProven(t, c, bitjang.FactorRecovery, bitjang.NewSecret("22222-22222"), fromPhone, bitjang.ErrCodeInvalid)
	shows(t, r.proven(t, c, bitjang.FactorRecovery, bitjang.NewSecret(strings.ToUpper(codes[0].Reveal())), fromPhone), "aal2", "pwd", "otp", "mfa")
	r.notProven(t, r.asked(t, fromPhone), bitjang.FactorRecovery, codes[0], fromPhone, bitjang.ErrCodeInvalid)
	left := func() int64 {
		list, err := r.Factors(t.Context(), tokens.Session.UserID)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if f.Sealed != nil {
				t.Error("what is sealed got out")
			}
			if f.Kind == bitjang.FactorRecovery {
				return f.Counter
			}
		}
		return -1
	}
	if got := left(); got != 9 {
		t.Errorf("got %d codes left, want 9", got)
	}
	if _, err := r.MakeRecoveryCodes(t.Context(), r.authenticate(t, tokens), fromLaptop); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != 10 {
		t.Errorf("got %d new codes", got)
	}
	r.notProven(t, r.asked(t, fromPhone), bitjang.FactorRecovery, codes[1], fromPhone, bitjang.ErrCodeInvalid)
}

// TestTheStoreHoldsNoSecretOfAFactor also moves a sealed secret to another user.
func TestTheStoreHoldsNoSecretOfAFactor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	list, err := r.store.Factors(t.Context(), tokens.Session.UserID)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	if bytes.Contains(list[0].Sealed, a.secret) {
		t.Error("the secret is in the store")
	}
	eve, err := r.AddUser(t.Context(), bitjang.AddUserInput{Email: "eve@example.com", Password: bitjang.NewSecret(rightPass)})
	if err != nil {
		t.Fatal(err)
	}
	moved := list[0]
	moved.ID, moved.UserID = "moved", eve.ID
	if err := r.store.InsertFactor(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	_, err = r.Login(t.Context(), bitjang.LoginInput{Identifier: "eve@example.com", Password: bitjang.NewSecret(rightPass), Caller: fromPhone})
	c := challengeOf(t, err, bitjang.ErrFactorRequired)
	if _, err := r.prove(t, c, bitjang.FactorTOTP, a.next(), fromPhone); bitjang.AsError(err).Code != bitjang.Internal {
		t.Errorf("a secret of another user: got %v", err)
	}
}

func TestASetupIsForItsSessionAndForOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	laptop := r.login(t, fromLaptop)
	setup, err := r.BeginTOTP(t.Context(), r.authenticate(t, laptop))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t, setup.Secret, r.clock)
	confirm := func(tokens bitjang.Tokens, code bitjang.Secret, want error) bitjang.Tokens {
		t.Helper()
		next, err := r.ConfirmTOTP(t.Context(), bitjang.EnrolInput{Identity: r.authenticate(t, tokens), Setup: setup.Setup, Code: code, Caller: fromLaptop})
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		return next
	}
	confirm(r.login(t, fromPhone), a.code(), bitjang.ErrSetupInvalid)
	confirm(laptop, a.wrong(), bitjang.ErrCodeInvalid)
	laptop = confirm(laptop, a.code(), nil)
	confirm(laptop, a.next(), bitjang.ErrSetupInvalid)

	old, err := r.BeginTOTP(t.Context(), r.authenticate(t, laptop))
	if err != nil {
		t.Fatal(err)
	}
	r.clock.turn(30 * time.Minute)
	if _, err := r.DescribeTOTP(t.Context(), bitjang.Identity{Session: laptop.Session}, old.Setup); !errors.Is(err, bitjang.ErrSetupInvalid) {
		t.Errorf("an old setup: got %v", err)
	}
}

// TestFactorsAreChangedWithAFreshProofOnly has the session of a thief who knows
// the password, and the forgotten one.
func TestFactorsAreChangedWithAFreshProofOnly(t *testing.T) {
	t.Parallel()
	m := newMailing(t)
	tokens := m.login(t, fromLaptop)
	m.clock.turn(10*time.Minute + time.Second)
	tokens = m.refresh(t, tokens, fromLaptop)
	_, err := m.BeginTOTP(t.Context(), m.authenticate(t, tokens))
	c := challengeOf(t, err, bitjang.ErrProveAgain)
	if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorPassword}) {
		t.Fatalf("got factors %v", c.Factors)
	}
	m.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(wrongPass), fromLaptop, bitjang.ErrCodeInvalid)
	m.notProven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromThief, bitjang.ErrChallengeInvalid)
	fresh := m.proven(t, c, bitjang.FactorPassword, bitjang.NewSecret(rightPass), fromLaptop)
	shows(t, fresh, "aal1", "pwd")
	a, tokens := m.addApp(t, fresh, fromLaptop)
	if got := m.next(t, bitjang.MailFactorAdded); got.Factor != bitjang.FactorTOTP {
		t.Errorf("got a mail about %q", got.Factor)
	}
	list, err := m.Factors(t.Context(), tokens.Session.UserID)
	if err != nil {
		t.Fatal(err)
	}

	// A session with the password alone, as of a device that is remembered.
	remembered, err := m.Prove(t.Context(), bitjang.ProveInput{Challenge: m.asked(t, fromPhone).Token, Factor: bitjang.FactorTOTP, Code: a.next(), Remember: true, Caller: fromPhone})
	if err != nil {
		t.Fatal(err)
	}
	again := fromPhone
	again.Remembered = remembered.Remembered
	weak := m.login(t, again)
	shows(t, weak, "aal1", "pwd")
	err = m.RemoveFactor(t.Context(), m.authenticate(t, weak), list[0].ID, fromPhone)
	c = challengeOf(t, err, bitjang.ErrProveAgain)
	if slices.Contains(c.Factors, bitjang.FactorPassword) {
		t.Error("the password alone takes the second factor away")
	}
	if err := m.RemoveFactor(t.Context(), m.authenticate(t, tokens), "another", fromLaptop); !errors.Is(err, bitjang.ErrNoSuchFactor) {
		t.Errorf("got %v", err)
	}
	if _, err := m.MakeRecoveryCodes(t.Context(), m.authenticate(t, tokens), fromLaptop); err != nil {
		t.Fatal(err)
	}
	if err := m.RemoveFactor(t.Context(), m.authenticate(t, tokens), list[0].ID, fromLaptop); err != nil {
		t.Fatal(err)
	}
	if left, err := m.Factors(t.Context(), tokens.Session.UserID); err != nil || len(left) != 0 {
		t.Errorf("got %d factors left, %v: recovery codes go with the last factor", len(left), err)
	}
	m.login(t, fromPhone)
}

func TestARenamedFactorIsOnesOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, tokens := r.addApp(t, r.login(t, fromLaptop), fromLaptop)
	list, err := r.Factors(t.Context(), tokens.Session.UserID)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := r.RenameFactor(t.Context(), tokens.Session.UserID, list[0].ID, " new "); err != nil || f.Name != "new" {
		t.Errorf("got %q, %v", f.Name, err)
	}
	if _, err := r.RenameFactor(t.Context(), "somebody", list[0].ID, "x"); !errors.Is(err, bitjang.ErrNoSuchFactor) {
		t.Errorf("got %v", err)
	}
	if n, err := r.ResetFactors(t.Context(), tokens.Session.UserID); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	r.login(t, fromPhone)
}
