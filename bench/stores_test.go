//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// need skips a test where the program of a server is missing, and fails where it
// must be there.
func need(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, servers.ErrMissing) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// The whole comparison, small. It says nothing about speed.
func TestAComparisonHasNoErrorsAddsNoRowsAndWritesItsResults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no servers")
	}
	dir := t.TempDir()
	opt, err := parseFlags([]string{"stores", "-duration", "200ms", "-rounds", "2", "-callers", "1,4", "-sessions", "50", "-out", dir})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	need(t, run(t.Context(), opt, &out))
	t.Log(out.String())
	var r comparisonResults
	if err := json.Unmarshal(read(t, dir, "*-stores.json"), &r); err != nil {
		t.Fatal(err)
	}
	if r.errors() != 0 || len(r.Stores) != len(databaseNames) || len(r.Aims) != 14 {
		t.Errorf("got %d errors, %d stores, %d aims, want 0, %d, 14", r.errors(), len(r.Stores), len(r.Aims), len(databaseNames))
	}
	for _, s := range r.Stores {
		if s.RowsBefore < 50 || s.RowsAfter != s.RowsBefore || s.Refreshes == 0 || s.Version == "" {
			t.Errorf("%+v: got other rows, or nothing done", s)
		}
		for _, part := range []string{partBitjang, partAlone, partBare} {
			for _, n := range []int{1, 4} {
				if m := r.find(of(s.Name, part), n); m == nil || len(m.Rounds) != 2 || m.get(func(l load) float64 { return float64(l.Done) }).max() == 0 {
					t.Errorf("%s: %s at %d callers did nothing", s.Name, part, n)
				}
			}
		}
		if m := r.find(of(s.Name, partBitjang), 4); m.get(logBytes).max() == 0 {
			t.Errorf("%s wrote no log", s.Name)
		}
	}
	if page := string(read(t, dir, "*-stores.md")); !strings.Contains(page, "| PostgreSQL ") || !strings.Contains(page, "-stores.svg)") {
		t.Errorf("got a page without table or plot:\n%s", page)
	}
	wellFormed(t, string(read(t, dir, "*-stores.svg")))
}

// What is loaded in bulk must be what the store would have written, and what the
// sweeper is to find must be found.
func TestBulkLoading(t *testing.T) {
	for _, name := range databaseNames {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "sqlite" {
				t.Skip("-short: no servers")
			}
			t.Parallel()
			ctx := t.Context()
			db := newDatabase(name, filepath.Join(t.TempDir(), "db"), nil)
			need(t, db.start(ctx))
			defer db.close()
			store, err := db.open(ctx, true)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			const n, dead = 1201, 700
			c := newCrowd(&minter{}, n)
			must(t, store.InsertSession(ctx, c.live(0)))
			must(t, db.bulk(ctx, n-1, func(i int) bitjang.Session { return c.live(i + 1) }))
			must(t, db.bulk(ctx, dead, c.longDead))
			must(t, db.settle(ctx))
			for _, i := range []int{0, 1, n - 1} {
				was := newSession(c.now, userOf(i))
				was.ID, was.Nonce, was.Generation = c.known[i].id, c.known[i].nonce, usualGeneration
				next := nextConfirmation(&was, c.now)
				got, err := store.ConfirmSession(ctx, next)
				if err != nil {
					t.Fatalf("session %d: %v", i, err)
				}
				was.Rotation = bitjang.Rotation{Generation: next.Generation, Nonce: next.Nonce, Parent: next.Parent, ConfirmedAt: c.now, ChildAt: c.now}
				was.Version, was.IdleExpiresAt, was.SeenBeforeAt = was.Version+1, next.IdleExpiresAt, was.LastSeenAt
				if diff := cmp.Diff(was, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("session %d, want -, got +:\n%s", i, diff)
				}
			}
			swept(t, db, store, c, dead)
			if size, err := db.bytes(ctx); err != nil || size < n*100 {
				t.Errorf("got %d bytes, %v", size, err)
			}
		})
	}
}

// swept has the store clean up and looks at what is left all the while.
func swept(t *testing.T, db database, store sessionStore, c *crowd, dead int) {
	t.Helper()
	first := c.firstDeath()
	last := first.Add(time.Duration(dead) * time.Millisecond)
	sweeper := store.(bitjang.SessionStore)
	for want, more := dead, true; ; {
		left, err := db.dying(t.Context(), first, last)
		if err != nil || left != want {
			t.Fatalf("got %d left, %v, want %d", left, err, want)
		}
		if !more {
			break
		}
		var removed int
		removed, more, err = sweeper.DeleteSessions(t.Context(), c.now.Add(-30*24*time.Hour), 500)
		must(t, err)
		want -= removed
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUsersHaveOneToFiveSessions(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for i := range 150 {
		count[userOf(i)]++
	}
	sizes := make([]int, 6)
	for _, n := range count {
		sizes[n]++
	}
	if want := []int{0, 10, 10, 10, 10, 10}; !slices.Equal(sizes, want) {
		t.Errorf("got %v users with so many sessions, want %v", sizes, want)
	}
}

func TestMonitoredCommandsAreUnderstood(t *testing.T) {
	t.Parallel()
	words, err := monitored(`+1700000000.1 [0 127.0.0.1:4711] "EVALSHA" "ab" "1" "k:\x00\"\\\n" ""` + "\r\n")
	if want := []string{"EVALSHA", "ab", "1", "k:\x00\"\\\n", ""}; err != nil || !slices.Equal(words, want) {
		t.Errorf("got %q, %v, want %q", words, err, want)
	}
}

func TestALogThatWasRewrittenTellsNothing(t *testing.T) {
	t.Parallel()
	before := logged{100, "a"}
	if got := (logged{150, "a"}).since(before); got != 50 {
		t.Errorf("got %d, want 50", got)
	}
	if got := (logged{150, "b"}).since(before); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
}

func TestADiaryIsCutIntoSpans(t *testing.T) {
	t.Parallel()
	began := time.Now()
	d := &diary{began: began, entries: [][]entry{{{500_000, 1000}, {1_500_000, 2000}}, {{1_200_000, 4000}, {2_000_000, 9000}}}}
	got := d.span(began.Add(time.Second), began.Add(2*time.Second))
	if want := (span{1, 2, 2, 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
