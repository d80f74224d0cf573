package bitjang_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
	"github.com/bitjang/bitjang/store/storetest"
)

func TestMovingKeepsTheContract(t *testing.T) {
	storetest.RunSessions(t, func(*testing.T) bitjang.SessionStore {
		return bitjang.Moving{Home: memory.New(), Other: memory.New()}
	})
}

// notYetMoved finds everything in the other store.
type notYetMoved struct{ bitjang.Moving }

func (m notYetMoved) InsertSession(ctx context.Context, s bitjang.Session) error {
	return m.Other.InsertSession(ctx, s)
}

func TestMovingKeepsTheContractForWhatHasNotMovedYet(t *testing.T) {
	storetest.RunSessions(t, func(*testing.T) bitjang.SessionStore {
		return notYetMoved{bitjang.Moving{Home: memory.New(), Other: memory.New()}}
	})
}

// movers are two services over the same two stores, the one before and the
// other after its restart.
func movers(t *testing.T, from, to bitjang.SessionStore) (before, after *bitjang.Service) {
	t.Helper()
	accounts, key := memory.New(), bitjang.NewMasterKey()
	start := func(sessions bitjang.SessionStore) *bitjang.Service {
		svc, err := bitjang.New(bitjang.Config{
			Issuer: "http://localhost:8080", MasterKeys: []bitjang.Secret{key}, Store: accounts, Sessions: sessions,
			PasswordMemoryKiB: 8192, PasswordTime: 1, PasswordQueue: 1000, NoRateLimits: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := svc.LoadKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		return svc
	}
	before, after = start(bitjang.Moving{Home: from, Other: to}), start(bitjang.Moving{Home: to, Other: from})
	if _, err := before.Signup(t.Context(), bitjang.SignupInput{Email: "ann@example.com", Password: bitjang.NewSecret("seven grey geese")}); err != nil {
		t.Fatal(err)
	}
	return before, after
}

func loginOn(t *testing.T, svc *bitjang.Service) bitjang.Tokens {
	t.Helper()
	tokens, err := svc.Login(t.Context(), bitjang.LoginInput{Identifier: "ann@example.com", Password: bitjang.NewSecret("seven grey geese")})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// TestSessionsMoveWhileTheyAreRefreshed has clients refresh at both services in
// turn while everything moves. Nobody may be refused, and every session must
// have arrived.
func TestSessionsMoveWhileTheyAreRefreshed(t *testing.T) {
	t.Parallel()
	// A session is under way for a while, so that refreshes meet it there.
	from, to := memory.New(), &slowToArrive{memory.New()}
	before, after := movers(t, from, to)
	const clients = 40
	tokens := make([]bitjang.Tokens, clients)
	for i := range tokens {
		tokens[i] = loginOn(t, []*bitjang.Service{before, after}[i%2])
	}
	var stop atomic.Bool
	var met atomic.Int64
	var refreshing sync.WaitGroup
	for i := range tokens {
		refreshing.Go(func() {
			for n := i; !stop.Load(); n++ {
				svc := []*bitjang.Service{before, after}[n%2]
				next, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens[i].Refresh})
				if bitjang.AsError(err) != nil && bitjang.AsError(err).Code == bitjang.Unavailable {
					met.Add(1)
					continue // in transit: try again
				}
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				tokens[i] = next
			}
		})
	}
	total := 0
	for round := 0; ; round++ {
		n, err := bitjang.Move{From: from, To: to, Retention: time.Hour}.Run(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		total += n
		if n == 0 {
			break
		}
	}
	stop.Store(true)
	refreshing.Wait()
	if met.Load() == 0 {
		t.Error("no refresh met a session in transit: nothing was tested")
	}
	if total != clients/2 {
		t.Errorf("got %d moved, want the %d that were there", total, clients/2)
	}
	for i := range tokens {
		if s, err := to.Session(t.Context(), tokens[i].Session.ID); err != nil || !s.EndedAt.IsZero() {
			t.Errorf("client %d: got %v and %v, want its session alive in the new store", i, s.EndReason, err)
		}
	}
}

// slowToArrive takes a while over every insert.
type slowToArrive struct{ bitjang.SessionStore }

func (s *slowToArrive) InsertSession(ctx context.Context, sess bitjang.Session) error {
	time.Sleep(20 * time.Millisecond)
	return s.SessionStore.InsertSession(ctx, sess)
}

// cutOff fails to insert now and then, as if the move had been killed there.
type cutOff struct {
	bitjang.SessionStore
	n atomic.Int64
}

var errCut = errors.New("cut off")

func (c *cutOff) InsertSession(ctx context.Context, s bitjang.Session) error {
	if n := c.n.Add(1); n%3 == 0 && n < 20 {
		return errCut
	}
	return c.SessionStore.InsertSession(ctx, s)
}

func TestAMoveThatWasCutOffIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	_, svc := movers(t, from, to)
	var ids []bitjang.SessionID
	for range 10 {
		s := bitjang.Session{ID: bitjang.NewSessionID("u"), UserID: "u", Version: 1, ExpiresAt: time.Now().Add(time.Hour), IdleExpiresAt: time.Now().Add(time.Hour)}
		if err := from.InsertSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	broken := &cutOff{SessionStore: to}
	interrupted := 0
	for {
		_, err := bitjang.Move{From: from, To: broken, Retention: time.Hour}.Run(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		interrupted++
	}
	if interrupted == 0 {
		t.Fatal("nothing was cut off")
	}
	for _, id := range ids {
		if s, err := svc.SessionByID(t.Context(), id); err != nil || !s.EndedAt.IsZero() {
			t.Errorf("got %v and %v, want the session alive", s.EndReason, err)
		}
	}
}

func TestASessionInTransitIsAnOutageAndNotALogout(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	before, after := movers(t, from, to)
	tokens := loginOn(t, before)
	broken := &cutOff{SessionStore: to}
	broken.n.Store(2)
	if _, err := (bitjang.Move{From: from, To: broken, Retention: time.Hour}).Run(t.Context()); !errors.Is(err, errCut) {
		t.Fatalf("got %v, want it cut off", err)
	}
	for _, svc := range []*bitjang.Service{before, after} {
		_, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh})
		if e := bitjang.AsError(err); e == nil || e.Code != bitjang.Unavailable {
			t.Errorf("refresh: got %v, want an outage", err)
		}
	}
	if _, err := (bitjang.Move{From: from, To: to, Retention: time.Hour}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, svc := range []*bitjang.Service{before, after} {
		next, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh})
		if err != nil {
			t.Fatal(err)
		}
		tokens = next
	}
}

func TestWhatEndedDuringAMoveStaysEnded(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		from, to := memory.New(), &slowToArrive{memory.New()}
		before, after := movers(t, from, to)
		var all []bitjang.Tokens
		for range 8 {
			all = append(all, loginOn(t, before))
		}
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := (bitjang.Move{From: from, To: to, Retention: time.Hour}).Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Duration(round) * time.Millisecond)
		_, err := after.EndSessions(t.Context(), bitjang.EndSessionsInput{UserID: all[0].Session.UserID, Reason: bitjang.EndedByLogoutAll})
		if err != nil {
			t.Error(err)
		}
		work.Wait()
		for i, tokens := range all {
			for _, svc := range []*bitjang.Service{before, after} {
				if _, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: tokens.Refresh}); !errors.Is(err, bitjang.ErrSessionRevoked) {
					t.Fatalf("round %d, session %d: got %v, want it ended", round, i, err)
				}
			}
		}
	}
}

func TestAMarkOlderThanTheRetentionBringsNothingBack(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := bitjang.Session{ID: bitjang.NewSessionID("u"), UserID: "u", Version: 1, ExpiresAt: now.Add(time.Hour), EndedAt: now.Add(-time.Hour), EndReason: bitjang.EndedByMove}
	if err := from.InsertSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for retention, want := range map[time.Duration]error{time.Minute: bitjang.ErrNotFound, 2 * time.Hour: nil} {
		if _, err := (bitjang.Move{From: from, To: to, Retention: retention}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := to.Session(t.Context(), s.ID)
		if !errors.Is(err, want) || err == nil && !got.EndedAt.IsZero() {
			t.Errorf("retention %v: got %v and %v, want %v", retention, got, err, want)
		}
		if retention > time.Hour {
			to = memory.New()
		}
	}
}

func TestRevocationsOfBothPlacesAreRead(t *testing.T) {
	t.Parallel()
	from, to := memory.New(), memory.New()
	m := bitjang.Moving{Home: to, Other: from}
	at := time.Now().UTC().Truncate(time.Millisecond)
	cursor := ""
	for i, st := range []bitjang.SessionStore{from, to, from} {
		s := bitjang.Session{ID: bitjang.NewSessionID("u"), UserID: "u", Version: 1, ExpiresAt: at.Add(time.Hour)}
		if err := st.InsertSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := m.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: at, Reason: bitjang.EndedByLogout}); err != nil {
			t.Fatal(err)
		}
		list, next, err := m.Revocations(t.Context(), cursor, 10)
		if err != nil || len(list) != 1 || list[0].SessionID != s.ID {
			t.Fatal(fmt.Sprint(i), list, err)
		}
		cursor = next
	}
}
