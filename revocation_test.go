package bitjang_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
)

// feed is everything the revocation feed says.
func (r *rig) feed(t *testing.T) []bitjang.Revocation {
	t.Helper()
	list, _, err := r.Revocations(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// secondNode is another service on the same data, reached on a way of its own.
func (r *rig) secondNode(t *testing.T) (*bitjang.Service, *spy) {
	t.Helper()
	cfg, way := r.cfg, &spy{Store: r.store.Store}
	cfg.Store = way
	svc := r.node(t, cfg)
	checkErr(t, svc.LoadKeys(t.Context()), nil)
	return svc, way
}

func TestEveryWayToEndASessionIsInTheFeed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end   func(t *testing.T, r *rig, tokens bitjang.Tokens)
		state bitjang.RevocationState
		why   bitjang.EndReason
		hold  bool
	}{
		"logout": {end: func(t *testing.T, r *rig, tokens bitjang.Tokens) {
			checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: tokens.Refresh}), nil)
		}, state: bitjang.RevocationEnded, why: bitjang.EndedByLogout},
		"all at once": {end: func(t *testing.T, r *rig, tokens bitjang.Tokens) {
			_, err := r.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: tokens.Session.UserID, Reason: bitjang.EndedByLogoutAll})
			checkErr(t, err, nil)
		}, state: bitjang.RevocationEnded, why: bitjang.EndedByLogoutAll},
		"theft":       {end: stealAndReplay, state: bitjang.RevocationEnded, why: bitjang.EndedByReuse},
		"theft, held": {end: stealAndReplay, state: bitjang.RevocationHeld, why: bitjang.EndedByReuse, hold: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *bitjang.Config) {
				if tt.hold {
					c.OnReuse = bitjang.HoldOnReuse
				}
			})
			r.addAda(t)
			tokens := r.login(t, fromLaptop)
			if list := r.feed(t); len(list) != 0 {
				t.Fatalf("got %v in the feed before anything ended, want nothing", list)
			}
			tt.end(t, r, tokens)
			want := []bitjang.Revocation{{SessionID: tokens.Session.ID, At: r.Now(), State: tt.state, Reason: string(tt.why)}}
			if diff := cmp.Diff(want, r.feed(t)); diff != "" {
				t.Errorf("feed (-want +got):\n%s", diff)
			}
			// What has ended has nothing more to tell.
			_ = r.Logout(t.Context(), bitjang.LogoutInput{Refresh: tokens.Refresh})
			if got := len(r.feed(t)); got != 1 && !tt.hold {
				t.Errorf("got %d entries after ending it once more, want 1", got)
			}
		})
	}
}

func stealAndReplay(t *testing.T, r *rig, tokens bitjang.Tokens) {
	second := r.refresh(t, tokens, fromLaptop)
	r.refresh(t, r.refresh(t, second, fromLaptop), fromLaptop)
	if _, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh, Caller: fromThief}); err == nil {
		t.Fatal("a replay got tokens")
	}
}

// TestANodeHearsOfAnEndFromAnother runs two services on one store. The one that
// only reads the feed must know within a second of its clock, also when the
// store has gone meanwhile, and must have forgotten when no access token of the
// session can be valid any more.
func TestANodeHearsOfAnEndFromAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now = nil })
		two, itsStore := r.secondNode(t)
		ended, going := r.login(t, fromLaptop), r.login(t, fromPhone)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- two.Run(ctx) }()
		time.Sleep(time.Second)
		checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: ended.Refresh}), nil)
		time.Sleep(time.Second)

		down := errors.New("the store is down")
		itsStore.watch(func(string) error { return down }, nil)
		_, err := two.Authenticate(t.Context(), ended.Access)
		checkErr(t, err, bitjang.ErrSessionRevoked)
		if got := bitjang.AsError(err).SessionEnd; got != bitjang.EndedByLogout {
			t.Errorf("got the reason %q, want %q", got, bitjang.EndedByLogout)
		}
		_, err = two.Authenticate(t.Context(), going.Access)
		if got := bitjang.AsError(err).Code; got != bitjang.Unavailable {
			t.Errorf("another session while the store is down: got %v, want an outage", err)
		}
		itsStore.watch(nil, nil)
		if got := two.Stats().Revoked; got != 1 {
			t.Errorf("got %d sessions remembered, want 1", got)
		}
		time.Sleep(15 * time.Minute)
		if got := two.Stats().Revoked; got != 0 {
			t.Errorf("got %d sessions remembered after their tokens have expired, want none", got)
		}
		if list := r.feed(t); len(list) != 0 {
			t.Errorf("got %v in the feed after the tokens have expired, want it swept", list)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestANodeThatRestartsReadsWhatItMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now = nil })
		tokens := r.login(t, fromLaptop)
		checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: tokens.Refresh}), nil)
		late, _ := r.secondNode(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- late.Run(ctx) }()
		time.Sleep(time.Second)
		if _, ok := late.Revoked(tokens.Session.ID); !ok {
			t.Error("a node that started after the logout does not know of it")
		}
		stop()
		<-done
	})
}

func TestAHeldSessionIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now, c.OnReuse = nil, bitjang.HoldOnReuse })
		tokens := r.login(t, fromLaptop)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		stealAndReplay(t, r, tokens)
		time.Sleep(time.Second)
		if got, ok := r.Revoked(tokens.Session.ID); !ok || got.State != bitjang.RevocationHeld {
			t.Errorf("got %v, %v, want it held", got, ok)
		}
		_, err := r.Authenticate(t.Context(), tokens.Access)
		checkErr(t, err, bitjang.ErrStepUpRequired)
		stop()
		<-done
	})
}

func TestACursorOfAnotherStoreIsNoOutage(t *testing.T) {
	t.Parallel()
	_, _, err := newRig(t).Revocations(t.Context(), "no cursor", 10)
	checkErr(t, err, bitjang.ErrCursor)
	if bitjang.AsError(err).Code == bitjang.Unavailable {
		t.Errorf("got %v, which clients would try again", err)
	}
}

// TestALongSweepHoldsUpNothing has the store take an hour over one batch, while
// another node makes a new signing key.
func TestALongSweepHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now = nil })
		two, itsStore := r.secondNode(t)
		itsStore.watch(func(method string) error {
			if method == "DeleteSessions" {
				time.Sleep(time.Hour)
			}
			return nil
		}, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- two.Run(ctx) }()
		time.Sleep(2 * time.Minute) // the sweep is under way
		if _, err := r.RotateKey(t.Context(), bitjang.RotateKeyInput{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got, err := two.JWKS()
		checkErr(t, err, nil)
		want, err := r.JWKS()
		checkErr(t, err, nil)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("the keys of the node that sweeps (-want +got):\n%s", diff)
		}
		stop()
		<-done
	})
}
