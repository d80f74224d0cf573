package bitjang_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

func TestTheUsualRefreshIsOneWriteAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	user := tokens.Session.UserID
	events := r.eventTypes(t, user)
	for range 25 {
		r.clock.turn(10 * time.Minute)
		r.store.watch(nil, nil)
		tokens = r.refresh(t, tokens, fromLaptop)
		if diff := cmp.Diff([]string{"ConfirmSession"}, r.store.calls()); diff != "" {
			t.Fatalf("store calls (-want +got)\n%s", diff)
		}
	}
	if diff := cmp.Diff(events, r.eventTypes(t, user)); diff != "" {
		t.Errorf("events (-before +after)\n%s", diff)
	}
	if got := r.live(t); got != 1 {
		t.Errorf("got %d sessions, want one", got)
	}
	if got := r.Stats().Refreshes["confirm"]; got != 25 {
		t.Errorf("got %d confirms counted, want 25", got)
	}
	if p := partsOf(t, tokens.Refresh); p.generation != 26 {
		t.Errorf("got generation %d, want 26", p.generation)
	}
}

func TestARefreshGivesAChildOfThePresentedToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.login(t, fromLaptop)
	last := partsOf(t, tokens.Refresh)
	if last.version != 1 || last.generation != 0 || last.parent != (bitjang.Nonce{}) || last.session != tokens.Session.ID {
		t.Errorf("got %+v at login, want version 1, generation 0, no parent", last)
	}
	for range 3 {
		r.clock.turn(time.Hour)
		tokens = r.refresh(t, tokens, fromLaptop)
		p := partsOf(t, tokens.Refresh)
		if p.generation != last.generation+1 || p.parent != last.nonce || p.nonce == last.nonce || p.session != last.session {
			t.Errorf("got %+v, want the child of %+v", p, last)
		}
		now := r.clock.now()
		sess := r.session(t, tokens)
		want := bitjang.Rotation{Generation: last.generation, Nonce: last.nonce, Parent: last.parent, ConfirmedAt: now, ChildAt: now}
		if last.generation == 0 {
			want.ConfirmedAt = atNoon
		}
		if diff := cmp.Diff(want, sess.Rotation); diff != "" {
			t.Errorf("record (-want +got)\n%s", diff)
		}
		if !sess.LastSeenAt.Equal(now) || !sess.IdleExpiresAt.Equal(now.Add(14*24*time.Hour)) || !tokens.RefreshExpiresAt.Equal(sess.IdleExpiresAt) {
			t.Errorf("got seen %v and idle until %v, want now and 14 days", sess.LastSeenAt, sess.IdleExpiresAt)
		}
		last = p
	}
}

func TestAFlippedBitAnywhereIsRefusedWithoutTouchingTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	text := tokens.Refresh.Reveal()
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	if err != nil {
		t.Fatal(err)
	}
	forged := []string{"", "bjr_", text[:75], text + "\n", text + "A", strings.ToUpper(text), " " + text, text[:40] + "\n" + text[41:]}
	for i := range raw {
		for bit := range 8 {
			b := slices.Clone(raw)
			b[i] ^= 1 << bit
			forged = append(forged, "bjr_"+base64.RawURLEncoding.EncodeToString(b))
		}
	}
	for i := range text {
		for bit := range 8 {
			b := []byte(text)
			b[i] ^= 1 << bit
			forged = append(forged, string(b))
		}
	}
	stranger := newRig(t)
	forged = append(forged, stranger.login(t, fromLaptop).Refresh.Reveal(), tokens.Access.Reveal())
	r.store.watch(nil, nil)
	for _, f := range forged {
		if _, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: bitjang.NewSecret(f), Caller: fromLaptop}); !errors.Is(err, bitjang.ErrTokenMalformed) {
			t.Errorf("got %v, want malformed", err)
		}
		checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: bitjang.NewSecret(f)}), refusalOf(f))
	}
	if calls := r.store.calls(); len(calls) != 0 {
		t.Errorf("got store calls %v, want none", calls)
	}
	if got := r.Stats().Refreshes["malformed"]; got != int64(len(forged)) {
		t.Errorf("got %d counted, want %d", got, len(forged))
	}
	r.refresh(t, tokens, fromLaptop)
}

// refusalOf is what a logout with a bad refresh token alone answers.
func refusalOf(refresh string) error {
	if refresh == "" {
		return bitjang.ErrAccessToken
	}
	return bitjang.ErrTokenMalformed
}

func TestEachVerdictHasItsAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, r *rig, first bitjang.Tokens)
		want string // the verdict counted last
	}{
		{"a token of a session that is gone is unknown", func(t *testing.T, r *rig, first bitjang.Tokens) {
			r.clock.turn(365 * 24 * time.Hour)
			if err := r.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.refused(t, first, fromLaptop, bitjang.ErrSessionUnknown)
		}, "unknown"},
		{"a response lost is made good within grace", func(t *testing.T, r *rig, first bitjang.Tokens) {
			a := r.refresh(t, first, fromLaptop)
			r.clock.turn(rotationTime)
			b := r.refresh(t, first, fromLaptop)
			if partsOf(t, a.Refresh).nonce == partsOf(t, b.Refresh).nonce {
				t.Error("two children are one")
			}
			r.refresh(t, b, fromLaptop)
		}, "confirm"},
		{"a response lost is made good days later, and told", func(t *testing.T, r *rig, first bitjang.Tokens) {
			r.refresh(t, first, fromLaptop)
			r.clock.turn(9 * 24 * time.Hour)
			r.refresh(t, first, fromLaptop)
			if got := r.eventTypes(t, first.Session.UserID); !slices.Contains(got, bitjang.EventRefreshRecover) {
				t.Errorf("got events %v, want refresh_recovered", got)
			}
		}, "recover"},
		{"a retry from another device ends the session", func(t *testing.T, r *rig, first bitjang.Tokens) {
			next := r.refresh(t, first, fromLaptop)
			r.refused(t, first, fromThief, bitjang.ErrTokenReused)
			r.refused(t, next, fromLaptop, bitjang.ErrSessionRevoked)
			if got := r.session(t, first).EndReason; got != bitjang.EndedByStranger {
				t.Errorf("got %s, want retry_from_other_device", got)
			}
		}, "dead"},
		{"a straggler is told to try again and nothing happens", func(t *testing.T, r *rig, first bitjang.Tokens) {
			second := r.refresh(t, first, fromLaptop)
			third := r.refresh(t, second, fromLaptop)
			before := r.session(t, first)
			r.clock.turn(rotationTime)
			r.refused(t, first, fromLaptop, bitjang.ErrSuperseded)
			if diff := cmp.Diff(before, r.session(t, first), cmpAddr); diff != "" {
				t.Errorf("the session has changed\n%s", diff)
			}
			r.refresh(t, third, fromLaptop)
		}, "confirm"},
		{"an old token is theft, once", func(t *testing.T, r *rig, first bitjang.Tokens) {
			second := r.refresh(t, first, fromLaptop)
			third := r.refresh(t, second, fromLaptop)
			r.clock.turn(rotationTime + time.Millisecond)
			r.refused(t, first, fromThief, bitjang.ErrTokenReused)
			want := []bitjang.EventType{bitjang.EventSessionEnded, bitjang.EventRefreshReuse}
			if diff := cmp.Diff(want, r.eventTypes(t, first.Session.UserID)[:2]); diff != "" {
				t.Errorf("events (-want +got)\n%s", diff)
			}
			r.refused(t, third, fromLaptop, bitjang.ErrSessionRevoked)
			n := len(r.eventTypes(t, first.Session.UserID))
			r.refused(t, first, fromThief, bitjang.ErrSessionRevoked)
			if got := len(r.eventTypes(t, first.Session.UserID)); got != n {
				t.Error("a replay on a dead session made an event")
			}
			if _, err := r.Authenticate(t.Context(), third.Access); !errors.Is(err, bitjang.ErrSessionRevoked) {
				t.Errorf("its access token: got %v, want the session ended", err)
			}
		}, "dead"},
		{"two generations back is theft even within grace", func(t *testing.T, r *rig, first bitjang.Tokens) {
			tokens := first
			for range 3 {
				tokens = r.refresh(t, tokens, fromLaptop)
			}
			r.refused(t, first, fromLaptop, bitjang.ErrTokenReused)
		}, "replay"},
		{"a sibling of the confirmed token is theft", func(t *testing.T, r *rig, first bitjang.Tokens) {
			a := r.refresh(t, first, fromLaptop)
			b := r.refresh(t, first, fromLaptop) // the thief's, from a copy of first
			r.refresh(t, a, fromLaptop)
			r.refused(t, b, fromLaptop, bitjang.ErrTokenReused)
			r.refused(t, a, fromLaptop, bitjang.ErrSessionRevoked)
		}, "dead"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			first := r.login(t, fromLaptop)
			tt.run(t, r, first)
			if got := r.Stats().Refreshes[tt.want]; got == 0 {
				t.Errorf("got %v, want %s counted", r.Stats().Refreshes, tt.want)
			}
		})
	}
}

func TestAReuseMayPutTheSessionOnHoldInstead(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *bitjang.Config) { c.OnReuse = bitjang.HoldOnReuse })
	first := r.login(t, fromLaptop)
	second := r.refresh(t, first, fromLaptop)
	third := r.refresh(t, second, fromLaptop)
	r.clock.turn(time.Minute)
	for range 2 {
		r.refused(t, first, fromThief, bitjang.ErrStepUpRequired)
		r.refused(t, third, fromLaptop, bitjang.ErrStepUpRequired)
		if _, err := r.Authenticate(t.Context(), third.Access); !errors.Is(err, bitjang.ErrStepUpRequired) {
			t.Errorf("the access token: got %v, want step-up", err)
		}
		if _, err := r.Admit(t.Context(), bitjang.AdmitInput{Access: third.Access, Refresh: third.Refresh, Caller: fromLaptop}); !errors.Is(err, bitjang.ErrStepUpRequired) {
			t.Errorf("both tokens: got %v, want step-up", err)
		}
	}
	sess := r.session(t, first)
	if sess.StateAt(r.clock.now()) != "held" || sess.HeldFor != "refresh_token_reuse" || !sess.EndedAt.IsZero() {
		t.Errorf("got %s for %q, want held", sess.StateAt(r.clock.now()), sess.HeldFor)
	}
	events := r.eventTypes(t, sess.UserID)
	if events[0] != bitjang.EventSessionHeld || events[1] != bitjang.EventRefreshReuse {
		t.Errorf("got %v, want session_held and refresh_token_reuse", events[:2])
	}
	if got := r.live(t); got != 1 {
		t.Errorf("got %d sessions listed, want the held one", got)
	}
	again := r.login(t, fromLaptop) // a login on the device is proof enough
	r.refresh(t, again, fromLaptop)
	if got := r.session(t, first).EndReason; got != bitjang.EndedByReplaced {
		t.Errorf("the held session: got %q, want replaced", got)
	}
}

func TestATokenNewerThanTheStore(t *testing.T) {
	t.Parallel()
	for _, policy := range []bitjang.OnRollback{bitjang.AcceptRollback, bitjang.DenyRollback} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) { c.OnRollback = policy })
			tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			backup := r.session(t, tokens)
			for range 3 {
				tokens = r.refresh(t, tokens, fromLaptop)
			}
			backup.Version = r.session(t, tokens).Version
			if err := r.store.UpdateSession(t.Context(), backup, nil); err != nil {
				t.Fatal(err)
			}
			r.clock.turn(time.Hour)
			if policy == bitjang.DenyRollback {
				r.refused(t, tokens, fromLaptop, bitjang.ErrSessionUnknown)
				backup.Version++
				if diff := cmp.Diff(backup, r.session(t, tokens), cmpAddr); diff != "" {
					t.Errorf("the session has changed\n%s", diff)
				}
			} else {
				tokens = r.refresh(t, tokens, fromLaptop)
				r.refresh(t, tokens, fromLaptop)
			}
			e := r.userEvents(t, tokens.Session.UserID)[0]
			if e.Type != bitjang.EventRefreshAhead || e.Reason != string(policy) {
				t.Errorf("got %s %s, want store_rollback and the policy", e.Type, e.Reason)
			}
		})
	}
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	t.Run("when they are idle for too long", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		tokens := r.login(t, fromLaptop)
		r.clock.turn(14*24*time.Hour - time.Millisecond)
		tokens = r.refresh(t, tokens, fromLaptop)
		r.clock.turn(14*24*time.Hour - time.Millisecond)
		tokens = r.refresh(t, tokens, fromLaptop)
		r.clock.turn(14 * 24 * time.Hour)
		r.refused(t, tokens, fromLaptop, bitjang.ErrSessionExpired)
		if got := r.live(t); got != 0 {
			t.Errorf("got %d sessions listed, want none", got)
		}
	})
	t.Run("after their absolute lifetime however busy they are", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(c *bitjang.Config) { c.RefreshTTL, c.SessionTTL = 24*time.Hour, 3*24*time.Hour })
		tokens := r.login(t, fromLaptop)
		end := tokens.Session.ExpiresAt
		for r.clock.now().Add(12 * time.Hour).Before(end) {
			r.clock.turn(12 * time.Hour)
			tokens = r.refresh(t, tokens, fromLaptop)
			if !r.session(t, tokens).ExpiresAt.Equal(end) {
				t.Fatal("the absolute expiry has moved")
			}
			if tokens.RefreshExpiresAt.After(end) {
				t.Errorf("got a refresh token until %v, want none beyond %v", tokens.RefreshExpiresAt, end)
			}
		}
		r.clock.turn(12 * time.Hour)
		r.refused(t, tokens, fromLaptop, bitjang.ErrSessionExpired)
	})
}

func TestAStoreThatIsDownIsAskedOncePerRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	r.store.watch(func(string) error { return errDown }, nil)
	_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: fromLaptop})
	checkErr(t, err, errDown)
	if diff := cmp.Diff([]string{"ConfirmSession"}, r.store.calls()); diff != "" {
		t.Errorf("store calls (-want +got)\n%s", diff)
	}
}

// together runs the refreshes so that all of them are under way before the
// first reaches the store.
func together(t *testing.T, r *rig, inputs []bitjang.RefreshInput) ([]bitjang.Tokens, []error) {
	t.Helper()
	gate := make(chan struct{})
	r.store.watch(func(string) error { <-gate; return nil }, nil)
	tokens, errs := make([]bitjang.Tokens, len(inputs)), make([]error, len(inputs))
	var wg sync.WaitGroup
	for i, in := range inputs {
		wg.Go(func() { tokens[i], errs[i] = r.Refresh(t.Context(), in) })
	}
	synctest.Wait()
	close(gate)
	wg.Wait()
	return tokens, errs
}

func TestIdenticalTokensThatArriveTogetherShareOneExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
		in := bitjang.RefreshInput{Token: start.Refresh, Caller: fromLaptop}
		tokens, errs := together(t, r, slices.Repeat([]bitjang.RefreshInput{in}, 8))
		for i := range tokens {
			if errs[i] != nil || !tokens[i].Refresh.Equal(tokens[0].Refresh) || !tokens[i].Access.Equal(tokens[0].Access) {
				t.Errorf("caller %d: got other tokens, or %v", i, errs[i])
			}
		}
		if diff := cmp.Diff([]string{"ConfirmSession"}, r.store.calls()); diff != "" {
			t.Errorf("store calls (-want +got)\n%s", diff)
		}
		r.store.watch(nil, nil)
		// A flight that has landed is not shared any more.
		later := r.refresh(t, start, fromLaptop)
		if later.Refresh.Equal(tokens[0].Refresh) {
			t.Error("a later retry got the same child")
		}
	})
}

func TestNoFlightIsSharedWithAnotherCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			edit func(*bitjang.Caller)
		}{
			{"another address", func(c *bitjang.Caller) { c.IP = fromThief.IP }},
			{"no address", func(c *bitjang.Caller) { *c = bitjang.Caller{Device: c.Device} }},
			{"another User-Agent", func(c *bitjang.Caller) { c.Device.UserAgent += "x" }},
			{"no User-Agent", func(c *bitjang.Caller) { c.Device.UserAgent = "" }},
			{"another device", func(c *bitjang.Caller) { c.Device.ID = "thief" }},
			{"no device", func(c *bitjang.Caller) { c.Device.ID = "" }},
			{"the User-Agent moved into the device id", func(c *bitjang.Caller) {
				c.Device.ID, c.Device.UserAgent = c.Device.ID+"\x00"+c.Device.UserAgent, ""
			}},
		} {
			r := newRig(t)
			start := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
			other := fromLaptop
			tt.edit(&other)
			tokens, errs := together(t, r, []bitjang.RefreshInput{{Token: start.Refresh, Caller: fromLaptop}, {Token: start.Refresh, Caller: other}})
			confirms := 0
			for _, call := range r.store.calls() {
				if call == "ConfirmSession" {
					confirms++
				}
			}
			if confirms != 2 {
				t.Errorf("%s: got %d exchanges, want 2", tt.name, confirms)
			}
			if errs[0] == nil && errs[1] == nil && partsOf(t, tokens[0].Refresh).nonce == partsOf(t, tokens[1].Refresh).nonce {
				t.Errorf("%s: got the same child", tt.name)
			}
		}
	})
}

func TestACallerThatHangsUpDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
		gate := make(chan struct{})
		r.store.watch(func(string) error { <-gate; return nil }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var tokens bitjang.Tokens
		var wg sync.WaitGroup
		in := bitjang.RefreshInput{Token: start.Refresh, Caller: fromLaptop}
		wg.Go(func() { _, first = r.Refresh(ctx, in) })
		synctest.Wait()
		wg.Go(func() { tokens, second = r.Refresh(t.Context(), in) })
		synctest.Wait()
		impatient, giveUp := context.WithCancel(t.Context())
		var third error
		left := make(chan struct{})
		go func() {
			defer close(left)
			_, third = r.Refresh(impatient, in)
		}()
		synctest.Wait()
		cancel()
		giveUp()
		<-left // though the store still hangs
		checkCode(t, third, bitjang.Unavailable)
		if !errors.Is(third, context.Canceled) {
			t.Errorf("got %v, want the cause kept", third)
		}
		close(gate)
		wg.Wait()
		if second != nil || tokens.Refresh.IsZero() {
			t.Errorf("the other caller: got %v", second)
		}
		if diff := cmp.Diff([]string{"ConfirmSession"}, r.store.calls()); diff != "" || first != nil && !errors.Is(first, context.Canceled) {
			t.Errorf("got %v, store calls (-want +got)\n%s", first, diff)
		}
	})
}

func TestARefreshThatPanicsLetsTheOthersGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
		gate := make(chan struct{})
		r.store.watch(func(string) error { <-gate; panic("a bug in a store") }, nil)
		in := bitjang.RefreshInput{Token: start.Refresh, Caller: fromLaptop}
		var wg sync.WaitGroup
		var caught any
		wg.Go(func() {
			defer func() { caught = recover() }() // as net/http does
			_, _ = r.Refresh(t.Context(), in)
		})
		synctest.Wait()
		var err error
		wg.Go(func() { _, err = r.Refresh(t.Context(), in) })
		synctest.Wait()
		close(gate)
		wg.Wait()
		if caught == nil {
			t.Error("the panic was swallowed")
		}
		checkCode(t, err, bitjang.Unavailable)
		r.store.watch(nil, nil)
		r.refresh(t, start, fromLaptop) // the place is free again
	})
}

func TestARefreshWhoseStoreHangsEndsInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
		r.store.Store = hangingStore{r.store.Store}
		began := time.Now()
		_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: start.Refresh, Caller: fromLaptop})
		checkCode(t, err, bitjang.Unavailable)
		if took := time.Since(began); took != 10*time.Second { // the bubble's time, not the machine's
			t.Errorf("got an answer after %v, want 10 s", took)
		}
	})
}

type hangingStore struct{ bitjang.Store }

func (h hangingStore) ConfirmSession(ctx context.Context, _ bitjang.Confirmation) (bitjang.Session, error) {
	<-ctx.Done()
	return bitjang.Session{}, ctx.Err()
}

func TestANewAddressOrBrowserIsNotedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tokens := r.refresh(t, r.login(t, fromLaptop), fromLaptop)
	moved := fromLaptop
	moved.IP = fromPhone.IP
	moved.Device.UserAgent = strings.ReplaceAll(moved.Device.UserAgent, "140", "141")
	moved.Device.Hints = bitjang.ClientHints{Brand: "Firefox", Platform: "Linux"}
	for i, want := range [][]string{{"ConfirmSession", "Spend", "InsertEvents", "UpdateSession"}, {"ConfirmSession"}} {
		r.clock.turn(time.Minute)
		r.store.watch(nil, nil)
		tokens = r.refresh(t, tokens, moved)
		if diff := cmp.Diff(want, r.store.calls()); diff != "" {
			t.Errorf("refresh %d: store calls (-want +got)\n%s", i, diff)
		}
		sess := r.session(t, tokens)
		if sess.IP != moved.IP || sess.Device.UserAgent != moved.Device.UserAgent || sess.Device.Hints != moved.Device.Hints {
			t.Errorf("got %v %+v, want what the caller said", sess.IP, sess.Device)
		}
		if tokens.Session.Version != sess.Version {
			t.Errorf("got version %d handed out, %d stored", tokens.Session.Version, sess.Version)
		}
	}
	r.refresh(t, tokens, bitjang.Caller{}) // says nothing: nothing is forgotten
	if sess := r.session(t, tokens); sess.IP != moved.IP || sess.Device.UserAgent != moved.Device.UserAgent {
		t.Errorf("got %v %+v, want the last that was known", sess.IP, sess.Device)
	}
}

func withoutRisk(c *bitjang.Config) { c.Risk = bitjang.RiskOff }

func TestADeviceIDIsAdoptedOnceAndNeverReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, withoutRisk)
	anonymous := fromLaptop
	anonymous.Device.ID = ""
	tokens := r.refresh(t, r.login(t, anonymous), anonymous)
	if got := r.session(t, tokens).Device.ID; got != "" {
		t.Fatalf("got device %q, want none yet", got)
	}
	tokens = r.refresh(t, tokens, fromLaptop)
	if got := r.session(t, tokens).Device.ID; got != "laptop" {
		t.Errorf("got device %q, want the first that came", got)
	}
	other := fromLaptop
	other.Device.ID = "other"
	tokens = r.refresh(t, tokens, other)
	if got := r.session(t, tokens).Device.ID; got != "laptop" {
		t.Errorf("got device %q, want the one it had", got)
	}
}

func TestWhatAnotherDeviceSaysOfItselfStaysOutOfTheRecord(t *testing.T) {
	t.Parallel()
	for name, has := range map[string]string{"with an id": "laptop", "without an id": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, withoutRisk)
			mine := fromLaptop
			mine.Device.ID = has
			tokens := r.refresh(t, r.login(t, mine), mine)
			tokens = r.refresh(t, tokens, fromThief)
			if sess := r.session(t, tokens); sess.Device != mine.Device || sess.IP != fromThief.IP {
				t.Errorf("got %+v at %v, want the device that logged in, at the address seen last", sess.Device, sess.IP)
			}
		})
	}
}

func TestAHostileUserAgentIsTamed(t *testing.T) {
	t.Parallel()
	for name, ua := range map[string]string{
		"10 kB": strings.Repeat("Mozilla/5.0 ", 1000), "control characters": "a\x00b\x1b[2J\r\nSet-Cookie: x=y",
		"invalid UTF-8": "\xff\xfe\xc3(", "10 kB of NUL": strings.Repeat("\x00", 10<<10), "surrogates": "\xed\xa0\x80",
		"half a character at the limit": strings.Repeat("x", 511) + "삼",
	} {
		r := newRig(t)
		hostile, known := fromLaptop, fromLaptop
		hostile.Device.UserAgent, hostile.Device.ID, hostile.Device.Name = ua, ua, ua
		known.Device.UserAgent, known.Device.Hints.Brand = ua, ua // of a device that was there before
		tokens := r.login(t, fromLaptop)
		for range 3 {
			tokens = r.refresh(t, tokens, known)
		}
		if sess := r.session(t, tokens); len(sess.Device.UserAgent)+len(sess.Device.Hints.Brand) > 640 || strings.ContainsAny(sess.Device.UserAgent, "\x00\x1b\r\n") {
			t.Errorf("%s: kept %q of a known device", name, sess.Device.UserAgent)
		}
		tokens = r.login(t, hostile)
		for range 3 {
			tokens = r.refresh(t, tokens, hostile)
		}
		sess := r.session(t, tokens)
		texts := []string{sess.Device.UserAgent, sess.Device.ID, sess.Device.Name}
		for _, e := range r.userEvents(t, sess.UserID) {
			texts = append(texts, e.UserAgent)
		}
		for _, text := range texts {
			if len(text) > 512 || strings.ToValidUTF8(text, "") != text || strings.ContainsAny(text, "\x00\x1b\r\n") {
				t.Errorf("%s: kept %q", name, text)
			}
		}
		r.store.watch(nil, nil)
		r.refresh(t, tokens, hostile)
		if got := r.store.calls(); len(got) != 1 {
			t.Errorf("%s: got %v, want the device to be known by now", name, got)
		}
		_ = fmt.Sprint(sess.Device.Label())
	}
}
