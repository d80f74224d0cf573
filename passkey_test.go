package bitjang_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/passkey"
)

// authenticator is a user's device with one passkey.
type authenticator struct {
	virtualwebauthn.Authenticator
	key  virtualwebauthn.Credential
	site virtualwebauthn.RelyingParty
}

func newAuthenticator() *authenticator {
	return &authenticator{
		Authenticator: virtualwebauthn.NewAuthenticator(), key: newKey(),
		site: virtualwebauthn.RelyingParty{ID: "auth.example.com", Name: "Test", Origin: "https://auth.example.com"},
	}
}

// newKey is a key whose coordinates begin with no zero: the library drops those,
// and one key in 128 would be refused for it.
func newKey() virtualwebauthn.Credential {
	const whole = 77 // bytes of a P-256 key in COSE
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == whole {
			return c
		}
	}
}

func (a *authenticator) create(t *testing.T, options []byte) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(virtualwebauthn.CreateAttestationResponse(a.site, a.Authenticator, a.key, *parsed))
}

// get answers with a counter that has gone on.
func (a *authenticator) get(t *testing.T, options []byte) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	a.key.Counter++
	return []byte(virtualwebauthn.CreateAssertionResponse(a.site, a.Authenticator, a.key, *parsed))
}

func withPasskeys(c *bitjang.Config) {
	rp, err := passkey.New(c.Issuer, "Test")
	if err != nil {
		panic(err)
	}
	c.Passkeys = rp
}

// addPasskey gives ada, who is logged in on the laptop, a passkey.
func (r *rig) addPasskey(t *testing.T, a *authenticator, tokens bitjang.Tokens) bitjang.Tokens {
	t.Helper()
	id := r.authenticate(t, tokens)
	begun, err := r.BeginPasskey(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	in := bitjang.EnrolInput{Identity: id, Setup: begun.Setup, Name: "key", Answer: a.create(t, begun.Options), Refresh: tokens.Refresh, Caller: fromLaptop}
	next, err := r.ConfirmPasskey(t.Context(), in)
	if err != nil {
		t.Fatalf("ConfirmPasskey: %v", err)
	}
	in.Identity = r.authenticate(t, next)
	if _, err := r.ConfirmPasskey(t.Context(), in); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("the same passkey twice: got %v", err)
	}
	a.Options.UserHandle = []byte(next.Session.UserID)
	a.AddCredential(a.key)
	return next
}

func (r *rig) answer(t *testing.T, c bitjang.Challenge, answer []byte, from bitjang.Caller) (bitjang.Tokens, error) {
	t.Helper()
	return r.Prove(t.Context(), bitjang.ProveInput{Challenge: c.Token, Factor: bitjang.FactorPasskey, Answer: answer, Caller: from})
}

func TestAPasskeyAsASecondFactor(t *testing.T) {
	t.Parallel()
	r, a := newRig(t, withPasskeys), newAuthenticator()
	shows(t, r.addPasskey(t, a, r.login(t, fromLaptop)), "aal2", "pwd", "hwk", "mfa")

	c := r.asked(t, fromPhone)
	if !slices.Equal(c.Factors, []bitjang.FactorKind{bitjang.FactorPasskey}) {
		t.Fatalf("got %v", c.Factors)
	}
	answer := a.get(t, c.Passkey)
	tokens, err := r.answer(t, c, answer, fromPhone)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, tokens, "aal2", "pwd", "hwk", "mfa")
	if _, err := r.answer(t, c, answer, fromPhone); !errors.Is(err, bitjang.ErrChallengeInvalid) {
		t.Errorf("the same answer again: got %v", err)
	}
	if _, err := r.answer(t, r.asked(t, fromPhone), answer, fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("the answer to another challenge: got %v", err)
	}
	// The finger is not needed beside a password.
	a.Options.UserNotVerified = true
	c = r.asked(t, fromPhone)
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); err != nil {
		t.Errorf("without a finger: got %v", err)
	}
	other := newAuthenticator()
	other.key.ID = a.key.ID
	c = r.asked(t, fromPhone)
	if _, err := r.answer(t, c, other.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("another key: got %v", err)
	}
	a.site.Origin = "https://auth.example.com.evil.example"
	c = r.asked(t, fromPhone)
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("from another site: got %v", err)
	}
}

func TestAPasskeyAlone(t *testing.T) {
	t.Parallel()
	r, a := newRig(t, withPasskeys), newAuthenticator()
	mine := r.addPasskey(t, a, r.login(t, fromLaptop))
	begin := func() bitjang.Challenge {
		t.Helper()
		c, err := r.PasskeyLogin(fromPhone)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := begin()
	tokens, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone)
	if err != nil || tokens.User == nil || tokens.User.Email != ada {
		t.Fatal(err)
	}
	shows(t, tokens, "aal2", "hwk", "mfa")

	c = begin()
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromThief); !errors.Is(err, bitjang.ErrChallengeInvalid) {
		t.Errorf("on another device: got %v", err)
	}
	a.Options.UserNotVerified = true
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("without a finger: got %v", err)
	}
	a.Options.UserNotVerified = false
	c = begin()
	r.clock.turn(time.Hour)
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrChallengeInvalid) {
		t.Errorf("an hour later: got %v", err)
	}
	a.Options.UserHandle = []byte("somebody")
	c = begin()
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("of nobody: got %v", err)
	}
	a.Options.UserHandle = []byte(mine.Session.UserID)
	if _, err := r.DisableUser(t.Context(), mine.Session.UserID); err != nil {
		t.Fatal(err)
	}
	c = begin()
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrUserDisabled) {
		t.Errorf("of a locked account: got %v", err)
	}
}

// TestAClonedPasskeyIsRefused has a copy whose counter is behind.
func TestAClonedPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	r, a := newRig(t, withPasskeys), newAuthenticator()
	mine := r.addPasskey(t, a, r.login(t, fromLaptop))
	a.key.Counter = 10
	c := r.asked(t, fromPhone)
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); err != nil {
		t.Fatal(err)
	}
	a.key.Counter = 10
	c = r.asked(t, fromPhone)
	if _, err := r.answer(t, c, a.get(t, c.Passkey), fromPhone); !errors.Is(err, bitjang.ErrCodeInvalid) {
		t.Errorf("got %v", err)
	}
	if got := r.eventTypes(t, mine.Session.UserID); !slices.Contains(got, bitjang.EventPasskeyCloned) {
		t.Errorf("got events %v", got)
	}
}

// TestAnAnswerIsTakenOnce: of one answer that comes many times at once, one gets in.
func TestAnAnswerIsTakenOnce(t *testing.T) {
	t.Parallel()
	r, a := newRig(t, withPasskeys), newAuthenticator()
	mine := r.addPasskey(t, a, r.login(t, fromLaptop))
	c := r.asked(t, fromPhone)
	answer := a.get(t, c.Passkey)
	var in atomic.Int32
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := r.answer(t, c, answer, fromPhone); err == nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
	if got := r.eventTypes(t, mine.Session.UserID); slices.Contains(got, bitjang.EventPasskeyCloned) {
		t.Error("a repetition looks like a cloned key")
	}
}

func TestPasskeysAreForNames(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"http://127.0.0.1:8080", "https://[::1]"} {
		if _, err := passkey.New(issuer, "Test"); !errors.Is(err, passkey.ErrNoName) {
			t.Errorf("%s: got %v", issuer, err)
		}
	}
	for _, issuer := range []string{"", "://", "https://"} {
		if _, err := passkey.New(issuer, "Test"); err == nil {
			t.Errorf("%q: got no error", issuer)
		}
	}
}
