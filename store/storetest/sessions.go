package storetest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

type sessionStore = bitjang.SessionStore

var sessionTests = []test[sessionStore]{
	{"a session comes back as it went in", sessionRoundTrip},
	{"a session of zero values comes back as it went in", sessionZero},
	{"a taken id is ErrExists and changes nothing", sessionExists},
	{"a session that is bound to a key is changed, listed, ended and deleted like any other", sessionBound},
	{"a missing session is ErrNotFound", sessionMissing},
	{"ended and expired sessions are returned", sessionEnded},
	{"an update writes every field", sessionUpdate},
	{"a stale update is ErrConflict and changes nothing", sessionStale},
	{"an update of a missing session is ErrConflict", sessionUpdateMissing},
	{"of many concurrent updates exactly one wins per version", sessionOneWinner},
	{"concurrent updates in a loop lose nothing", sessionNoLostUpdate},
	{"a confirmation moves the record and nothing else, and tells when it was seen before", confirmMoves},
	{"a confirmation is refused unless every part of its condition holds", confirmRefused},
	{"a confirmation of a missing session is ErrConflict", confirmMissing},
	{"of many concurrent confirmations exactly one wins", confirmOneWinner},
	{"a confirmation and an update never both win", confirmAgainstUpdate},
	{"the largest generation and odd bytes are kept", confirmExtremes},
	{"sessions are listed by owner, in pages, in the order of ids", sessionPages},
	{"pages stay stable while sessions are added", sessionPagesStable},
	{"ending all spares the excepted, the dead and other users", endAll},
	{"ending by device spares other devices", endByDevice},
	{"ending one by its id spares all others, and is for its owner only", endOnly},
	{"ending moves the version on, so that a stale update cannot undo it", endBeatsStale},
	{"ending everything beats refreshes under way", endBeatsConfirm},
	{"only the long dead are deleted, a few at a time", deleteBounded},
	{"a session whose expiry has slid is not deleted", deleteSlid},
	{"a session ended early is deleted by its end", deleteEndedEarly},
	{"a walk through all sessions meets each, of every owner, also while some come and go", walk},
	{"a walk of an empty store ends at once", walkEmpty},
	{"a walk refuses what is no cursor", walkCursor},
	{"a cancelled context is honoured", sessionCancelled},
}

func randomSession(user string) bitjang.Session {
	s := bitjang.Session{ID: bitjang.NewSessionID(user)}
	rand.Read(s.Nonce[:])
	rand.Read(s.Parent[:])
	s.UserID, s.ClientID, s.Version = user, "bitjang", 1
	s.Generation = 7
	s.CreatedAt, s.AuthTime = epoch, epoch.Add(time.Millisecond)
	s.ConfirmedAt, s.ChildAt, s.ChildSeenAt = epoch.Add(2*time.Second), epoch.Add(3*time.Second), epoch.Add(4*time.Second)
	s.LastSeenAt = epoch.Add(5 * time.Second)
	s.IdleExpiresAt, s.ExpiresAt = epoch.Add(time.Hour), epoch.Add(24*time.Hour)
	s.AMR, s.ACR, s.Scope, s.Roles = []string{"pwd", "otp"}, "aal2", "openid email", []string{"admin", "user"}
	s.Audience, s.LoginID = "https://api.example.com/v1?x="+oddText, bitjang.NewSessionID(user)
	s.Device = bitjang.Device{
		ID: "device-" + oddText, Name: oddText, UserAgent: strings.Repeat("긴", 170),
		Hints: bitjang.ClientHints{Brand: "Chromium", Platform: "Linux", PlatformVersion: "6.1", Model: oddText, Mobile: true},
	}
	s.IP = netip.MustParseAddr("2001:db8::1")
	return s
}

func insert(t *testing.T, st sessionStore, s bitjang.Session) bitjang.Session {
	t.Helper()
	ok(t, st.InsertSession(t.Context(), s))
	return s
}

// holds checks what the store has of a session.
func holds(t *testing.T, st sessionStore, want bitjang.Session) {
	t.Helper()
	got, err := st.Session(t.Context(), want.ID)
	ok(t, err)
	equal(t, got, want)
}

func sessionRoundTrip(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	holds(t, st, s)
	bound := randomSession("u")
	bound.KeyThumbprint = keyThumbprint
	insert(t, st, bound)
	holds(t, st, bound)
}

// keyThumbprint is that of RFC 7638 section 3.1.
const keyThumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

func sessionBound(t *testing.T, st sessionStore) {
	s := randomSession("u")
	s.KeyThumbprint = keyThumbprint
	insert(t, st, s)
	s.LastSeenAt = epoch.Add(7 * time.Second)
	ok(t, st.UpdateSession(t.Context(), s, nil))
	s.Version++
	holds(t, st, s)
	n, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: epoch.Add(time.Minute), Reason: bitjang.EndedByAdmin})
	ok(t, err)
	equal(t, n, 1)
	s.EndedAt, s.EndReason = epoch.Add(time.Minute), bitjang.EndedByAdmin
	s.Version++
	holds(t, st, s)
	list, err := st.Sessions(t.Context(), bitjang.SessionQuery{UserID: "u", Limit: 10})
	ok(t, err)
	equal(t, list, []bitjang.Session{s})
	for more := true; more; {
		_, more, err = st.DeleteSessions(t.Context(), epoch.Add(time.Hour), 10)
		ok(t, err)
	}
	_, err = st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}

func sessionZero(t *testing.T, st sessionStore) {
	s := bitjang.Session{ID: bitjang.NewSessionID("u"), UserID: "u", Version: 1, ExpiresAt: epoch}
	insert(t, st, s)
	holds(t, st, s)
}

func sessionExists(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	other := randomSession("u")
	other.ID = s.ID
	is(t, st.InsertSession(t.Context(), other), bitjang.ErrExists)
	holds(t, st, s)
}

func sessionMissing(t *testing.T, st sessionStore) {
	_, err := st.Session(t.Context(), bitjang.SessionID{1})
	is(t, err, bitjang.ErrNotFound)
}

func sessionEnded(t *testing.T, st sessionStore) {
	s := randomSession("u")
	s.EndedAt, s.EndReason, s.IdleExpiresAt = epoch, bitjang.EndedByReuse, epoch.Add(-time.Hour)
	insert(t, st, s)
	holds(t, st, s)
}

func sessionUpdate(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	next := randomSession("u")
	next.ID, next.Version = s.ID, s.Version
	next.ClientID, next.Generation = "other", 9
	next.LastSeenAt, next.ExpiresAt = epoch.Add(time.Minute), epoch.Add(48*time.Hour)
	next.EndedAt, next.EndReason = epoch.Add(time.Minute), bitjang.EndedByLogout
	next.HeldAt, next.HeldFor = epoch.Add(time.Second), "network_changed"
	next.KeyThumbprint = keyThumbprint
	next.AMR, next.Roles, next.Device, next.IP = nil, nil, bitjang.Device{ID: "x"}, netip.MustParseAddr("192.0.2.7")
	ok(t, st.UpdateSession(t.Context(), next, nil))
	next.Version++
	holds(t, st, next)
}

func sessionStale(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	ok(t, st.UpdateSession(t.Context(), s, nil))
	stale := s
	stale.EndedAt = epoch
	is(t, st.UpdateSession(t.Context(), stale, nil), bitjang.ErrConflict)
	s.Version++
	holds(t, st, s)
}

func sessionUpdateMissing(t *testing.T, st sessionStore) {
	s := randomSession("u")
	is(t, st.UpdateSession(t.Context(), s, nil), bitjang.ErrConflict)
	_, err := st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}

// race runs fn in n goroutines at once and returns how many got no error. Any
// error but ErrConflict fails the test.
func race(t *testing.T, n int, fn func(i int) error) int {
	t.Helper()
	var wins atomic.Int64
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			switch err := fn(i); {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, bitjang.ErrConflict):
				t.Errorf("got %v, want success or ErrConflict", err)
			}
		})
	}
	start.Done()
	done.Wait()
	return int(wins.Load())
}

func sessionOneWinner(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	for round := range 8 {
		s.Version = int64(1 + round)
		wins := race(t, 32, func(i int) error {
			mine := s
			mine.HeldFor = fmt.Sprint(i)
			return st.UpdateSession(t.Context(), mine, nil)
		})
		if wins != 1 {
			t.Fatalf("round %d: got %d winners, want 1", round, wins)
		}
	}
}

func sessionNoLostUpdate(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	const writers, each = 8, 10
	race(t, writers, func(int) error {
		for done := 0; done < each; {
			got, err := st.Session(t.Context(), s.ID)
			if err != nil {
				return err
			}
			got.Generation++
			switch err := st.UpdateSession(t.Context(), got, nil); {
			case err == nil:
				done++
			case !errors.Is(err, bitjang.ErrConflict):
				return err
			}
		}
		return nil
	})
	got, err := st.Session(t.Context(), s.ID)
	ok(t, err)
	if want := s.Generation + writers*each; got.Generation != want {
		t.Fatalf("got %d increments, want %d", got.Generation-s.Generation, want-s.Generation)
	}
}

func sessionPages(t *testing.T, st sessionStore) {
	var want []bitjang.Session
	for range 25 {
		want = append(want, insert(t, st, randomSession("u")))
		insert(t, st, randomSession("other"))
	}
	slices.SortFunc(want, func(a, b bitjang.Session) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var got []bitjang.Session
	var after bitjang.SessionID
	for _, size := range []int{10, 10, 5, 0} {
		page, err := st.Sessions(t.Context(), bitjang.SessionQuery{UserID: "u", After: after, Limit: 10})
		ok(t, err)
		if len(page) != size {
			t.Fatalf("got a page of %d, want %d", len(page), size)
		}
		if size > 0 {
			after = page[size-1].ID
		}
		got = append(got, page...)
	}
	equal(t, got, want)
}

func sessionPagesStable(t *testing.T, st sessionStore) {
	id := func(n uint64) (id bitjang.SessionID) {
		id[0] = bitjang.UserShard("u")
		binary.BigEndian.PutUint64(id[8:], n)
		return id
	}
	for n := uint64(10); n <= 60; n += 10 {
		s := randomSession("u")
		s.ID = id(n)
		insert(t, st, s)
	}
	first, err := st.Sessions(t.Context(), bitjang.SessionQuery{UserID: "u", Limit: 3})
	ok(t, err)
	for _, n := range []uint64{5, 15, 45} {
		s := randomSession("u")
		s.ID = id(n)
		insert(t, st, s)
	}
	second, err := st.Sessions(t.Context(), bitjang.SessionQuery{UserID: "u", After: first[2].ID, Limit: 10})
	ok(t, err)
	var got []bitjang.SessionID
	for _, s := range append(first, second...) {
		got = append(got, s.ID)
	}
	equal(t, got, []bitjang.SessionID{id(10), id(20), id(30), id(40), id(45), id(50), id(60)})
}

func sessionCancelled(t *testing.T, st sessionStore) {
	s := randomSession("u")
	ctx := cancelled(t)
	_, getErr := st.Session(ctx, s.ID)
	_, confirmErr := st.ConfirmSession(ctx, confirmation(s))
	_, listErr := st.Sessions(ctx, bitjang.SessionQuery{UserID: "u", Limit: 1})
	_, endErr := st.EndSessions(ctx, bitjang.EndFilter{UserID: "u", At: epoch})
	_, _, deleteErr := st.DeleteSessions(ctx, epoch, 1)
	_, _, everyErr := st.EverySession(ctx, "", 1)
	for call, err := range map[string]error{
		"InsertSession": st.InsertSession(ctx, s), "Session": getErr, "ConfirmSession": confirmErr,
		"UpdateSession": st.UpdateSession(ctx, s, nil), "Sessions": listErr, "EndSessions": endErr, "DeleteSessions": deleteErr, "EverySession": everyErr,
	} {
		if err == nil || errors.Is(err, bitjang.ErrConflict) || errors.Is(err, bitjang.ErrNotFound) {
			t.Errorf("%s: got %v, want the context's error", call, err)
		}
	}
	_, err := st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}

// walked is everything that a walk meets; between runs after each page.
func walked(t *testing.T, st sessionStore, between func()) map[bitjang.SessionID]bitjang.Session {
	t.Helper()
	met := map[bitjang.SessionID]bitjang.Session{}
	after := ""
	for pages := 0; ; pages++ {
		page, next, err := st.EverySession(t.Context(), after, 7)
		ok(t, err)
		for _, s := range page {
			met[s.ID] = s
		}
		if next == "" {
			return met
		}
		if pages > 2000 {
			t.Fatal("the walk does not end")
		}
		after = next
		between()
	}
}

func walk(t *testing.T, st sessionStore) {
	var want []bitjang.Session
	for i := range 60 {
		want = append(want, insert(t, st, randomSession(fmt.Sprint("user ", i%40))))
	}
	var passing []bitjang.Session
	for range 20 {
		passing = append(passing, insert(t, st, randomSession("passing")))
	}
	met := walked(t, st, func() {
		insert(t, st, randomSession("newcomer"))
		if len(passing) > 0 {
			_, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "passing", At: epoch.Add(-time.Hour), Reason: bitjang.EndedByLogout})
			ok(t, err)
			_, _, err = st.DeleteSessions(t.Context(), epoch, 3)
			ok(t, err)
			passing = passing[1:]
		}
	})
	for _, s := range want {
		equal(t, met[s.ID], s)
	}
}

func walkEmpty(t *testing.T, st sessionStore) {
	if met := walked(t, st, func() {}); len(met) != 0 {
		t.Fatalf("got %d sessions, want none", len(met))
	}
}

func walkCursor(t *testing.T, st sessionStore) {
	_, _, err := st.EverySession(t.Context(), "no cursor", 7)
	is(t, err, bitjang.ErrCursor)
}
