package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var feedTests = []test[sessionStore]{
	{"an empty feed has a cursor to go on from", feedEmpty},
	{"ending sessions tells of each that it ended, and of no other", feedEnds},
	{"an update tells what it is given, and nothing by itself", feedUpdate},
	{"a refused update tells nothing", feedRefused},
	{"the feed is read in pages, each entry once", feedPages},
	{"a reader that goes on from its cursors misses nothing of many writers", feedMissesNothing},
	{"two readers see the same", feedTwoReaders},
	{"old entries are deleted, and cursors stay good", feedDeleted},
	{"a cursor goes on after everything behind it was deleted", feedDeletedAll},
	{"what is no cursor is ErrCursor", feedCursor},
	{"a cancelled context is honoured", feedCancelled},
}

// read returns what the feed has after a cursor, and the next cursor.
func read(t *testing.T, st sessionStore, after string) ([]bitjang.Revocation, string) {
	t.Helper()
	var all []bitjang.Revocation
	for {
		list, next, err := st.Revocations(t.Context(), after, 5)
		ok(t, err)
		if len(list) > 5 {
			t.Fatalf("got a page of %d, want at most 5", len(list))
		}
		if next == "" {
			t.Fatal("got no cursor")
		}
		if len(list) == 0 {
			return all, next
		}
		all, after = append(all, list...), next
	}
}

func told(s bitjang.Session, f bitjang.EndFilter) bitjang.Revocation {
	return bitjang.Revocation{SessionID: s.ID, At: f.At, State: bitjang.RevocationEnded, Reason: string(f.Reason)}
}

// sameEntries compares in any order: those of one step have none.
func sameEntries(t *testing.T, got, want []bitjang.Revocation) {
	t.Helper()
	byID := func(a, b bitjang.Revocation) int { return slices.Compare(a.SessionID[:], b.SessionID[:]) }
	slices.SortStableFunc(got, byID)
	slices.SortStableFunc(want, byID)
	equal(t, got, want)
}

func feedEmpty(t *testing.T, st sessionStore) {
	list, cursor := read(t, st, "")
	equal(t, list, nil)
	s := insert(t, st, randomSession("u"))
	f := bitjang.EndFilter{UserID: "u", At: epoch, Reason: bitjang.EndedByLogoutAll}
	_, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	list, _ = read(t, st, cursor)
	equal(t, list, []bitjang.Revocation{told(s, f)})
}

func feedEnds(t *testing.T, st sessionStore) {
	a, b, spared := insert(t, st, randomSession("u")), insert(t, st, randomSession("u")), insert(t, st, randomSession("u"))
	insert(t, st, randomSession("v"))
	gone := randomSession("u")
	gone.EndedAt, gone.EndReason = epoch.Add(-time.Hour), bitjang.EndedByReuse
	insert(t, st, gone)
	f := bitjang.EndFilter{UserID: "u", Except: spared.ID, At: epoch, Reason: bitjang.EndedByLogoutAll}
	_, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	list, cursor := read(t, st, "")
	sameEntries(t, list, []bitjang.Revocation{told(a, f), told(b, f)})
	_, err = st.EndSessions(t.Context(), f)
	ok(t, err)
	list, _ = read(t, st, cursor)
	equal(t, list, nil)
}

func feedUpdate(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	ok(t, st.UpdateSession(t.Context(), s, nil))
	s.Version++
	s.HeldAt, s.HeldFor = epoch, oddText
	held := bitjang.Revocation{SessionID: s.ID, At: epoch.Add(time.Millisecond), State: bitjang.RevocationHeld, Reason: oddText}
	ok(t, st.UpdateSession(t.Context(), s, &held))
	s.Version++
	lifted := bitjang.Revocation{SessionID: s.ID, At: epoch.Add(time.Second), State: bitjang.RevocationLifted}
	ok(t, st.UpdateSession(t.Context(), s, &lifted))
	list, _ := read(t, st, "")
	equal(t, list, []bitjang.Revocation{held, lifted})
}

func feedRefused(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	stale, missing := s, randomSession("u")
	stale.Version = 7
	for _, s := range []bitjang.Session{stale, missing} {
		r := bitjang.Revocation{SessionID: s.ID, At: epoch, State: bitjang.RevocationEnded}
		is(t, st.UpdateSession(t.Context(), s, &r), bitjang.ErrConflict)
	}
	list, _ := read(t, st, "")
	equal(t, list, nil)
}

// endOne ends a new session of a user and returns what the feed is to say.
func endOne(ctx context.Context, st sessionStore, user string, at time.Time) (bitjang.Revocation, error) {
	s := randomSession(user)
	if err := st.InsertSession(ctx, s); err != nil {
		return bitjang.Revocation{}, err
	}
	s.EndedAt, s.EndReason = at, bitjang.EndedByLogout
	r := bitjang.Revocation{SessionID: s.ID, At: at, State: bitjang.RevocationEnded, Reason: string(s.EndReason)}
	return r, st.UpdateSession(ctx, s, &r)
}

func feedPages(t *testing.T, st sessionStore) {
	var want []bitjang.Revocation
	for i := range 33 {
		// Clocks of several nodes differ: times need not come in order.
		r, err := endOne(t.Context(), st, fmt.Sprint("user ", i), epoch.Add(time.Duration(i%4)*time.Second))
		ok(t, err)
		want = append(want, r)
	}
	list, _ := read(t, st, "")
	sameEntries(t, list, want)
}

func feedMissesNothing(t *testing.T, st sessionStore) {
	const writers, each = 8, 12
	var mu sync.Mutex
	var want []bitjang.Revocation
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				r, err := endOne(t.Context(), st, fmt.Sprint("user ", w), epoch.Add(time.Duration(i-w)*time.Millisecond))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want = append(want, r)
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	var got []bitjang.Revocation
	cursor := ""
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true // and read once more
		default:
		}
		list, next := read(t, st, cursor)
		got, cursor = append(got, list...), next
	}
	sameEntries(t, got, want)
}

func feedTwoReaders(t *testing.T, st sessionStore) {
	_, fast := read(t, st, "")
	var all []bitjang.Revocation
	for i := range 10 {
		_, err := endOne(t.Context(), st, fmt.Sprint("user ", i), epoch)
		ok(t, err)
		list, next := read(t, st, fast)
		all, fast = append(all, list...), next
	}
	list, slow := read(t, st, "")
	sameEntries(t, list, all)
	rest, _ := read(t, st, slow)
	equal(t, rest, nil)
	rest, _ = read(t, st, fast)
	equal(t, rest, nil)
}

func feedDeleted(t *testing.T, st sessionStore) {
	old, err := endOne(t.Context(), st, "u", epoch)
	ok(t, err)
	list, cursor := read(t, st, "")
	equal(t, list, []bitjang.Revocation{old})
	fresh, err := endOne(t.Context(), st, "u", epoch.Add(time.Hour))
	ok(t, err)
	_, err = st.DeleteRevocations(t.Context(), epoch.Add(time.Minute), 100)
	ok(t, err)
	for _, after := range []string{"", cursor} {
		list, _ = read(t, st, after)
		equal(t, list, []bitjang.Revocation{fresh})
	}
}

func feedDeletedAll(t *testing.T, st sessionStore) {
	_, err := endOne(t.Context(), st, "u", epoch)
	ok(t, err)
	_, cursor := read(t, st, "")
	_, err = st.DeleteRevocations(t.Context(), epoch.Add(time.Minute), 100)
	ok(t, err)
	list, again := read(t, st, cursor)
	equal(t, list, nil)
	// A clock that goes backwards must not bury an entry behind the cursor.
	late, err := endOne(t.Context(), st, "u", epoch.Add(-time.Minute))
	ok(t, err)
	for _, after := range []string{cursor, again} {
		list, _ = read(t, st, after)
		equal(t, list, []bitjang.Revocation{late})
	}
}

func feedCursor(t *testing.T, st sessionStore) {
	_, _, err := st.Revocations(t.Context(), "no cursor", 5)
	is(t, err, bitjang.ErrCursor)
}

func feedCancelled(t *testing.T, st sessionStore) {
	_, _, readErr := st.Revocations(cancelled(t), "", 1)
	_, deleteErr := st.DeleteRevocations(cancelled(t), epoch, 1)
	for call, err := range map[string]error{"Revocations": readErr, "DeleteRevocations": deleteErr} {
		if err == nil {
			t.Errorf("%s: got no error, want the context's", call)
		}
	}
}
