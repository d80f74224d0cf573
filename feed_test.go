package bitjang_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bitjang/bitjang"
)

// run lets a service do its work beside requests until the test ends, and waits
// until it has read the feed.
func run(t *testing.T, svc *bitjang.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = svc.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	for range 500 {
		f, err := svc.FollowRevocations("")
		if err == nil {
			f.Close()
			return stop
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the service does not read the feed")
	return stop
}

func follow(t *testing.T, svc *bitjang.Service, after string) *bitjang.RevocationFollower {
	t.Helper()
	f, err := svc.FollowRevocations(after)
	if err != nil {
		t.Fatalf("FollowRevocations(%q): %v", after, err)
	}
	t.Cleanup(f.Close)
	return f
}

// next is what a follower is given, and where it then stands.
func next(t *testing.T, f *bitjang.RevocationFollower) (list []bitjang.Revocation, cursor string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	batches, _, err := f.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	for _, b := range batches {
		list, cursor = append(list, b.List...), b.Cursor
	}
	return list, cursor
}

func TestFollowersHearOfEverythingOnceItIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	before := r.login(t, fromLaptop)
	checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: before.Refresh}), nil)
	run(t, r.Service)
	f := follow(t, r.Service, "")
	list, cursor := next(t, f)
	if len(list) != 1 || list[0].SessionID != before.Session.ID {
		t.Fatalf("got %v, want what had ended before", list)
	}
	later := r.login(t, fromPhone)
	checkErr(t, r.Logout(t.Context(), bitjang.LogoutInput{Refresh: later.Refresh}), nil)
	if list, _ = next(t, f); len(list) != 1 || list[0].SessionID != later.Session.ID {
		t.Fatalf("got %v, want what has just ended", list)
	}
	if list, _ = next(t, follow(t, r.Service, cursor)); len(list) != 1 || list[0].SessionID != later.Session.ID {
		t.Fatalf("got %v after the first cursor, want the second end", list)
	}
	if got := r.Stats().Followers; got != 2 {
		t.Errorf("got %d followers, want 2", got)
	}
}

// TestAFollowerGoesOnAtAnotherNode ends sessions while followers move between
// two nodes that read at times of their own, each by the cursor that it has.
func TestAFollowerGoesOnAtAnotherNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	two, _ := r.secondNode(t)
	run(t, r.Service)
	run(t, two)
	u := r.addAda(t)
	const sessions, followers = 300, 8
	ids := map[bitjang.SessionID]bool{}
	for range sessions {
		s := bitjang.Session{ID: bitjang.NewSessionID(u.ID), UserID: u.ID, Version: 1, ExpiresAt: r.Now().Add(time.Hour), IdleExpiresAt: r.Now().Add(time.Hour)}
		ids[s.ID] = true
		checkErr(t, r.store.InsertSession(t.Context(), s), nil)
	}
	var wg sync.WaitGroup
	for range followers {
		wg.Go(func() {
			heard, cursor := map[bitjang.SessionID]bool{}, ""
			for deadline := time.Now().Add(20 * time.Second); len(heard) < sessions && time.Now().Before(deadline); {
				node := []*bitjang.Service{r.Service, two}[rand.N(2)]
				f, err := node.FollowRevocations(cursor)
				if err != nil {
					t.Errorf("got %v", err)
					return
				}
				for range 1 + rand.N(3) {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					batches, _, err := f.Next(ctx)
					cancel()
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
					for _, b := range batches {
						cursor = b.Cursor
						for _, e := range b.List {
							heard[e.SessionID] = true
						}
					}
				}
				f.Close()
			}
			if len(heard) != sessions {
				t.Errorf("heard of %d ends, want %d", len(heard), sessions)
			}
		})
	}
	for id := range ids {
		_, err := r.store.EndSessions(t.Context(), bitjang.EndFilter{UserID: u.ID, Only: id, At: r.Now(), Reason: bitjang.EndedByAdmin})
		checkErr(t, err, nil)
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
}

func TestACursorThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now = nil })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		f := follow(t, r.Service, "")
		_, old := next(t, f)
		time.Sleep(10 * time.Minute)
		follow(t, r.Service, old)
		fresh, ok := f.Cursor()
		if !ok || fresh == old {
			t.Errorf("got %q, %v after ten quiet minutes, want a younger cursor than %q", fresh, ok, old)
		}
		time.Sleep(2 * time.Minute)
		_, err := r.FollowRevocations(old)
		checkErr(t, err, bitjang.ErrCursorExpired)
		follow(t, r.Service, fresh)
		for _, bad := range []string{"x", "1", ".", "12.", "x.1", ".1"} {
			_, err := r.FollowRevocations(bad)
			checkErr(t, err, bitjang.ErrCursorExpired)
		}
		// Well-formed, but of no store: that shows once it is asked.
		_, _, err = follow(t, r.Service, fmt.Sprintf("%d.nonsense", r.Now().UnixMilli())).Next(t.Context())
		checkErr(t, err, bitjang.ErrCursorExpired)
		stop()
		<-done
	})
}

func TestANodeThatReadsNothingSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *bitjang.Config) { c.Now = nil })
		_, err := r.FollowRevocations("")
		checkErr(t, err, bitjang.ErrFeedUnavailable) // Run does not run
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		f := follow(t, r.Service, "")
		next(t, f)
		r.store.watch(func(string) error { return errors.New("down") }, nil)
		time.Sleep(5 * time.Second)
		if _, fresh := f.Cursor(); fresh {
			t.Error("the node vouches for a feed that it cannot read")
		}
		_, err = r.FollowRevocations("")
		checkErr(t, err, bitjang.ErrFeedUnavailable)
		r.store.watch(nil, nil)
		time.Sleep(time.Second)
		if _, fresh := f.Cursor(); !fresh {
			t.Error("the node reads the feed again and does not say so")
		}
		stop()
		_, _, err = f.Next(t.Context())
		checkErr(t, err, bitjang.ErrFeedUnavailable)
		<-done
	})
}

func TestWhoMayFollowTheFeed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	machine := []string{bitjang.GrantClientCredentials}
	good, secret := r.addClient(t, bitjang.Client{GrantTypes: machine, Scopes: []string{"x", bitjang.ScopeRevocations}})
	other, otherSecret := r.addClient(t, bitjang.Client{GrantTypes: machine, Scopes: []string{"x"}})
	public, _ := r.addClient(t, bitjang.Client{Auth: bitjang.ClientPublic, Scopes: []string{bitjang.ScopeRevocations}})
	session := r.login(t, fromLaptop)
	by := func(id string, secret bitjang.Secret) bitjang.FeedCredentials {
		return bitjang.FeedCredentials{Client: bitjang.ClientCredentials{ID: id, Secret: secret}}
	}
	token := func(changes map[string]any) bitjang.FeedCredentials {
		return bitjang.FeedCredentials{Access: r.mintClaims(t, good.ID, changes)}
	}
	for _, tt := range []struct {
		name string
		in   bitjang.FeedCredentials
		want error
	}{
		{"its id and secret", by(good.ID, secret), nil},
		{"another's secret", by(good.ID, otherSecret), bitjang.ErrInvalidClient},
		{"no secret", by(good.ID, bitjang.Secret{}), bitjang.ErrInvalidClient},
		{"nothing", bitjang.FeedCredentials{}, bitjang.ErrInvalidClient},
		{"a client without the scope", by(other.ID, otherSecret), &bitjang.Error{Reason: "insufficient_scope"}},
		{"a client without a secret", by(public.ID, bitjang.Secret{}), bitjang.ErrInvalidClient},
		{"a token of client_credentials", token(nil), nil},
		{"one without the scope", token(map[string]any{"scope": "x revocations:read"}), &bitjang.Error{Reason: "insufficient_scope"}},
		{"a person's token with the scope", token(map[string]any{"sub": "u", "sid": session.Session.ID.String()}), &bitjang.Error{Reason: "insufficient_scope"}},
		{"a token with another subject", token(map[string]any{"sub": "u"}), &bitjang.Error{Reason: "insufficient_scope"}},
		{"a person's token", bitjang.FeedCredentials{Access: session.Access}, &bitjang.Error{Reason: "insufficient_scope"}},
		{"a token of nobody", bitjang.FeedCredentials{Access: bitjang.NewSecret("a.b.c")}, bitjang.ErrAccessToken},
	} {
		id, err := r.AuthorizeFeed(t.Context(), tt.in)
		checkErr(t, err, tt.want)
		if (id == good.ID) != (tt.want == nil) {
			t.Errorf("%s: got %q, %v", tt.name, id, err)
		}
	}
}

// mintClaims signs an access token as client_credentials would get it, with
// claims changed.
func (r *rig) mintClaims(t *testing.T, client string, changes map[string]any) bitjang.Secret {
	t.Helper()
	now := r.Now().Unix()
	claims := map[string]any{
		"iss": r.cfg.Issuer, "aud": r.cfg.Issuer, "sub": client, "client_id": client, "scope": "x revocations",
		"iat": now, "exp": now + 60, "jti": "j", "gen": 0,
	}
	for name, v := range changes {
		claims[name] = v
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.SignAccess(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSightingsClosePresentedParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addAda(t)
	first := r.login(t, fromLaptop)
	second := r.refresh(t, first, fromLaptop) // the child of the login's token
	id := first.Session.ID
	checkErr(t, r.Saw(t.Context(), []bitjang.Sighting{{SessionID: bitjang.SessionID{1}, Generation: 1}, {SessionID: id, Generation: 0}, {SessionID: id, Generation: 2}}), nil)
	if s := r.session(t, first); !s.ChildSeenAt.IsZero() {
		t.Fatal("a sighting of another generation counts")
	}
	checkErr(t, r.Saw(t.Context(), []bitjang.Sighting{{SessionID: id, Generation: 1}}), nil)
	seenAt := r.session(t, first).ChildSeenAt
	if !seenAt.Equal(r.Now()) {
		t.Fatalf("got seen at %v, want %v", seenAt, r.Now())
	}
	r.clock.turn(rotationTime + time.Second)
	checkErr(t, r.Saw(t.Context(), []bitjang.Sighting{{SessionID: id, Generation: 1}}), nil)
	if s := r.session(t, first); !s.ChildSeenAt.Equal(seenAt) {
		t.Error("a later sighting moves the first")
	}
	_, err := r.Refresh(t.Context(), bitjang.RefreshInput{Token: first.Refresh, Caller: fromLaptop})
	checkErr(t, err, bitjang.ErrTokenReused)
	_ = second
}
