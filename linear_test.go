package bitjang_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/memory"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// linearState is what of a session decides about the next refresh.
type linearState struct {
	bitjang.Rotation
	ended bool
}

// TestRefreshIsLinearizable lets many callers refresh one session at once, with
// current, old and repeated tokens, and checks that what they saw is what some
// order of the same refreshes, one at a time, would have given.
func TestRefreshIsLinearizable(t *testing.T) {
	sqlite, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "b.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sqlite.Close() })
	for name, store := range map[string]bitjang.Store{"sqlite": sqlite, "memory": memory.New()} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			svc, err := bitjang.New(bitjang.Config{
				Issuer: "https://auth.example.com", MasterKeys: []bitjang.Secret{bitjang.NewMasterKey()}, Store: store,
				PasswordMemoryKiB: 8192, PasswordTime: 1, Now: func() time.Time { return now }, NoRateLimits: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := svc.LoadKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := svc.AddUser(t.Context(), bitjang.AddUserInput{Email: "a@example.com", Password: bitjang.NewSecret("correct horse")}); err != nil {
				t.Fatal(err)
			}
			outcomes := map[string]int{}
			for range 25 {
				for outcome, n := range linearHistory(t, svc, now) {
					outcomes[outcome] += n
				}
			}
			t.Logf("outcomes: %v", outcomes)
			for _, want := range []string{"", "refresh_superseded", "refresh_token_reused", "session_revoked"} {
				if outcomes[want] == 0 {
					t.Errorf("no history has an outcome %q: the callers are too tame", want)
				}
			}
		})
	}
}

// linearHistory runs one session's worth and returns how often each reason was
// the answer.
func linearHistory(t *testing.T, svc *bitjang.Service, now time.Time) map[string]int {
	from := func(caller int) bitjang.Caller {
		// Different addresses, so that no two callers share a flight; one device.
		return bitjang.Caller{IP: address(caller), Device: bitjang.Device{UserAgent: "test"}}
	}
	login, err := svc.Login(t.Context(), bitjang.LoginInput{Identifier: "a@example.com", Password: bitjang.NewSecret("correct horse"), Caller: from(0)})
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu      sync.Mutex
		tokens  = []bitjang.Secret{login.Refresh}
		history []porcupine.Operation
		wg      sync.WaitGroup
	)
	started := time.Now()
	for caller := range 6 {
		wg.Go(func() {
			for range 10 {
				mu.Lock()
				back := min(len(tokens)-1, int(rand.ExpFloat64()*0.7)) // mostly the newest
				token := tokens[len(tokens)-1-back]
				mu.Unlock()
				op := porcupine.Operation{ClientId: caller, Input: token, Call: time.Since(started).Nanoseconds()}
				got, err := svc.Refresh(t.Context(), bitjang.RefreshInput{Token: token, Caller: from(caller)})
				op.Return = time.Since(started).Nanoseconds()
				op.Output = ""
				if refused, ok := errors.AsType[*bitjang.Error](err); ok {
					op.Output = refused.Reason
				}
				mu.Lock()
				history = append(history, op)
				if err == nil {
					tokens = append(tokens, got.Refresh)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if !porcupine.CheckOperations(sequential(svc, login.Session, from(0), now), history) {
		t.Fatalf("not linearizable: %v", history)
	}
	outcomes := map[string]int{}
	for _, op := range history {
		outcomes[op.Output.(string)]++
	}
	return outcomes
}

func sequential(svc *bitjang.Service, sess bitjang.Session, from bitjang.Caller, now time.Time) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return linearState{Rotation: sess.Rotation} },
		Step: func(state, input, output any) (bool, any) {
			before := state.(linearState)
			s := sess
			s.Rotation = before.Rotation
			if before.ended {
				s.EndedAt = now
			}
			after, reason := svc.RefreshInOrder(s, input.(bitjang.Secret), from, now)
			return reason == output.(string), linearState{after.Rotation, !after.EndedAt.IsZero()}
		},
	}
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }
