// Package storetest is the contract of bitjang.Store as tests. Every store
// passes all of it: there are no options and nothing to skip. When a store has
// had a bug, its fix begins with a new sentence here.
package storetest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bitjang/bitjang"
)

// Run checks a whole store. open gives an empty one and closes it with the test.
func Run(t *testing.T, open func(t *testing.T) bitjang.Store) {
	t.Run("sessions", func(t *testing.T) {
		RunSessions(t, func(t *testing.T) bitjang.SessionStore { return open(t) })
	})
	t.Run("users", func(t *testing.T) { run(t, open, userTests) })
	t.Run("events", func(t *testing.T) { run(t, open, eventTests) })
	t.Run("factors", func(t *testing.T) { run(t, open, factorTests) })
	t.Run("mails", func(t *testing.T) { run(t, open, mailTests) })
	t.Run("clients", func(t *testing.T) { run(t, open, clientTests) })
	t.Run("consents", func(t *testing.T) { run(t, open, consentTests) })
	t.Run("keys", func(t *testing.T) { run(t, open, keyTests) })
}

// RunSessions checks a store of sessions alone.
func RunSessions(t *testing.T, open func(t *testing.T) bitjang.SessionStore) {
	run(t, open, sessionTests)
	t.Run("feed", func(t *testing.T) { run(t, open, feedTests) })
	t.Run("grants", func(t *testing.T) { run(t, open, grantTests) })
	t.Run("limits", func(t *testing.T) { run(t, open, limitTests) })
}

type test[S any] struct {
	name string
	run  func(t *testing.T, store S)
}

func run[S, T any](t *testing.T, open func(*testing.T) S, tests []test[T]) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, any(open(t)).(T))
		})
	}
}

// epoch is when the tests take place, with milliseconds to keep.
var epoch = time.Date(2026, 11, 22, 10, 20, 30, 123e6, time.UTC)

// oddText is what stores have stumbled over.
const oddText = "quote ' \" \\ percent % _ 빗장 🔩 e\u0301 \u200b <b>"

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got %v, want no error", err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("differs (-want +got):\n%s", diff)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
