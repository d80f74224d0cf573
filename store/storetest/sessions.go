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
	{"a missing session is ErrNotFound", sessionMissing},
	{"ended and expired sessions are returned", sessionEnded},
	{"an update writes every field", sessionUpdate},
	{"a stale update is ErrConflict and changes nothing", sessionStale},
	{"an update of a missing session is ErrConflict", sessionUpdateMissing},
	{"of many concurrent updates exactly one wins per version", sessionOneWinner},
	{"concurrent updates in a loop lose nothing", sessionNoLostUpdate},
	{"a confirmation moves the record and nothing else", confirmMoves},
	{"a confirmation is refused unless every part of its condition holds", confirmRefused},
	{"a confirmation of a missing session is ErrConflict", confirmMissing},
	{"of many concurrent confirmations exactly one wins", confirmOneWinner},
	{"a confirmation and an update never both win", confirmAgainstUpdate},
	{"the largest generation and odd bytes are kept", confirmExtremes},
	{"sessions are listed by owner, in pages, in the order of ids", sessionPages},
	{"pages stay stable while sessions are added", sessionPagesStable},
	{"ending all spares the excepted, the dead and other users", endAll},
	{"ending by device spares other devices", endByDevice},
	{"ending moves the version on, so that a stale update cannot undo it", endBeatsStale},
	{"ending everything beats refreshes under way", endBeatsConfirm},
	{"only the long dead are deleted, a few at a time", deleteBounded},
	{"a session whose expiry has slid is not deleted", deleteSlid},
	{"a session ended early is deleted by its end", deleteEndedEarly},
	{"a cancelled context is honoured", sessionCancelled},
}

func randomSession(user string) bitjang.Session {
	var s bitjang.Session
	rand.Read(s.ID[:])
	rand.Read(s.Nonce[:])
	rand.Read(s.Parent[:])
	s.UserID, s.ClientID, s.Version = user, "bitjang", 1
	s.Generation = 7
	s.CreatedAt, s.AuthTime = epoch, epoch.Add(time.Millisecond)
	s.ConfirmedAt, s.ChildAt, s.ChildSeenAt = epoch.Add(2*time.Second), epoch.Add(3*time.Second), epoch.Add(4*time.Second)
	s.LastSeenAt = epoch.Add(5 * time.Second)
	s.IdleExpiresAt, s.ExpiresAt = epoch.Add(time.Hour), epoch.Add(24*time.Hour)
	s.AMR, s.ACR, s.Scope, s.Roles = []string{"pwd", "otp"}, "aal2", "openid email", []string{"admin", "user"}
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
}

func sessionZero(t *testing.T, st sessionStore) {
	s := bitjang.Session{ID: bitjang.SessionID{1}, UserID: "u", Version: 1, ExpiresAt: epoch}
	insert(t, st, s)
	holds(t, st, s)
}

func sessionExists(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	other := randomSession("v")
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
	next.AMR, next.Roles, next.Device, next.IP = nil, nil, bitjang.Device{ID: "x"}, netip.MustParseAddr("192.0.2.7")
	ok(t, st.UpdateSession(t.Context(), next))
	next.Version++
	holds(t, st, next)
}

func sessionStale(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	ok(t, st.UpdateSession(t.Context(), s))
	stale := s
	stale.EndedAt = epoch
	is(t, st.UpdateSession(t.Context(), stale), bitjang.ErrConflict)
	s.Version++
	holds(t, st, s)
}

func sessionUpdateMissing(t *testing.T, st sessionStore) {
	s := randomSession("u")
	is(t, st.UpdateSession(t.Context(), s), bitjang.ErrConflict)
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
			return st.UpdateSession(t.Context(), mine)
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
			switch err := st.UpdateSession(t.Context(), got); {
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

// confirmation fits s.
func confirmation(s bitjang.Session) bitjang.Confirmation {
	c := bitjang.Confirmation{ID: s.ID, Generation: s.Generation + 1, Parent: s.Nonce, Now: epoch.Add(time.Minute), IdleExpiresAt: epoch.Add(2 * time.Hour)}
	rand.Read(c.Nonce[:])
	return c
}

// confirmed is what s becomes by c.
func confirmed(s bitjang.Session, c bitjang.Confirmation) bitjang.Session {
	s.Rotation = bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now}
	s.LastSeenAt, s.IdleExpiresAt = c.Now, c.IdleExpiresAt
	s.Version++
	return s
}

func confirmMoves(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	bystander := insert(t, st, randomSession("u"))
	c := confirmation(s)
	got, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	equal(t, got, confirmed(s, c))
	holds(t, st, confirmed(s, c))
	holds(t, st, bystander)
}

func confirmRefused(t *testing.T, st sessionStore) {
	for name, spoil := range map[string]func(*bitjang.Session, *bitjang.Confirmation){
		"generation ahead":                    func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Generation++ },
		"generation behind":                   func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Generation-- },
		"another parent":                      func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Parent[7]++ },
		"ended":                               func(s *bitjang.Session, _ *bitjang.Confirmation) { s.EndedAt = epoch },
		"held":                                func(s *bitjang.Session, _ *bitjang.Confirmation) { s.HeldAt = epoch },
		"idle for too long":                   func(s *bitjang.Session, c *bitjang.Confirmation) { s.IdleExpiresAt = c.Now.Add(-time.Second) },
		"idle expiry at this very moment":     func(s *bitjang.Session, c *bitjang.Confirmation) { s.IdleExpiresAt = c.Now },
		"too old":                             func(s *bitjang.Session, c *bitjang.Confirmation) { s.ExpiresAt = c.Now.Add(-time.Second) },
		"absolute expiry at this very moment": func(s *bitjang.Session, c *bitjang.Confirmation) { s.ExpiresAt = c.Now },
		"generation zero":                     func(s *bitjang.Session, c *bitjang.Confirmation) { s.Generation, c.Generation = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := randomSession("u")
			c := confirmation(s)
			spoil(&s, &c)
			insert(t, st, s)
			_, err := st.ConfirmSession(t.Context(), c)
			is(t, err, bitjang.ErrConflict)
			holds(t, st, s)
		})
	}
}

func confirmMissing(t *testing.T, st sessionStore) {
	_, err := st.ConfirmSession(t.Context(), confirmation(randomSession("u")))
	is(t, err, bitjang.ErrConflict)
}

func confirmOneWinner(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	for round := range 8 {
		var winner atomic.Pointer[bitjang.Session]
		wins := race(t, 32, func(int) error {
			got, err := st.ConfirmSession(t.Context(), confirmation(s))
			if err == nil {
				winner.Store(&got)
			}
			return err
		})
		if wins != 1 {
			t.Fatalf("round %d: got %d winners, want 1", round, wins)
		}
		s = *winner.Load()
		holds(t, st, s)
	}
}

func confirmAgainstUpdate(t *testing.T, st sessionStore) {
	for range 16 {
		s := insert(t, st, randomSession("u"))
		var updated atomic.Bool
		wins := race(t, 2, func(i int) error {
			if i == 0 {
				_, err := st.ConfirmSession(t.Context(), confirmation(s))
				return err
			}
			ended := s
			ended.EndedAt, ended.EndReason = epoch, bitjang.EndedByLogout
			err := st.UpdateSession(t.Context(), ended)
			updated.Store(err == nil)
			return err
		})
		got, err := st.Session(t.Context(), s.ID)
		ok(t, err)
		if wins != 1 || got.Version != 2 || updated.Load() == got.EndedAt.IsZero() {
			t.Fatalf("got %d winners and version %d, want one winner and its state", wins, got.Version)
		}
	}
}

func confirmExtremes(t *testing.T, st sessionStore) {
	s := randomSession("u")
	s.Generation = 1<<32 - 2
	s.Nonce = bitjang.Nonce{}
	insert(t, st, s)
	c := confirmation(s)
	c.Nonce = bitjang.Nonce{0xff, 0, 0xff, 0, 0xff, 0, 0xff, '\''}
	got, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	equal(t, got, confirmed(s, c))
	holds(t, st, confirmed(s, c))
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

func ended(s bitjang.Session, f bitjang.EndFilter) bitjang.Session {
	s.EndedAt, s.EndReason = f.At, f.Reason
	s.Version++
	return s
}

func endAll(t *testing.T, st sessionStore) {
	a, b, spared, foreign := insert(t, st, randomSession("u")), insert(t, st, randomSession("u")), insert(t, st, randomSession("u")), insert(t, st, randomSession("v"))
	held := randomSession("u")
	held.HeldAt = epoch
	insert(t, st, held)
	gone := randomSession("u")
	gone.EndedAt, gone.EndReason = epoch.Add(-time.Hour), bitjang.EndedByReuse
	insert(t, st, gone)
	expired := randomSession("u")
	expired.IdleExpiresAt = epoch
	insert(t, st, expired)

	f := bitjang.EndFilter{UserID: "u", Except: spared.ID, At: epoch.Add(time.Minute), Reason: bitjang.EndedByLogoutAll}
	n, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	if n != 3 {
		t.Fatalf("got %d ended, want 3", n)
	}
	for _, want := range []bitjang.Session{ended(a, f), ended(b, f), ended(held, f), spared, foreign, gone, expired} {
		holds(t, st, want)
	}
	n, err = st.EndSessions(t.Context(), f)
	ok(t, err)
	if n != 0 {
		t.Fatalf("got %d ended the second time, want 0", n)
	}
}

func endByDevice(t *testing.T, st sessionStore) {
	mine, other, nameless := randomSession("u"), randomSession("u"), randomSession("u")
	mine.Device.ID, other.Device.ID, nameless.Device.ID = "phone", "laptop", ""
	for _, s := range []bitjang.Session{mine, other, nameless} {
		insert(t, st, s)
	}
	f := bitjang.EndFilter{UserID: "u", DeviceID: "phone", At: epoch, Reason: bitjang.EndedByReplaced}
	n, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	if n != 1 {
		t.Fatalf("got %d ended, want 1", n)
	}
	holds(t, st, ended(mine, f))
	holds(t, st, other)
	holds(t, st, nameless)
}

func endBeatsStale(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	f := bitjang.EndFilter{UserID: "u", At: epoch, Reason: bitjang.EndedByLogoutAll}
	_, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	is(t, st.UpdateSession(t.Context(), s), bitjang.ErrConflict)
	holds(t, st, ended(s, f))
}

func endBeatsConfirm(t *testing.T, st sessionStore) {
	var list []bitjang.Session
	for range 16 {
		list = append(list, insert(t, st, randomSession("u")))
	}
	f := bitjang.EndFilter{UserID: "u", At: epoch, Reason: bitjang.EndedByLogoutAll}
	race(t, len(list)+1, func(i int) error {
		if i == len(list) {
			_, err := st.EndSessions(t.Context(), f)
			return err
		}
		_, err := st.ConfirmSession(t.Context(), confirmation(list[i]))
		return err
	})
	for _, s := range list {
		got, err := st.Session(t.Context(), s.ID)
		ok(t, err)
		if got.EndedAt.IsZero() {
			t.Fatal("a refresh undid the end of a session")
		}
	}
}

func deleteBounded(t *testing.T, st sessionStore) {
	for range 7 {
		s := randomSession("u")
		s.IdleExpiresAt = epoch.Add(-time.Hour)
		insert(t, st, s)
	}
	live := insert(t, st, randomSession("u"))
	lately := randomSession("u")
	lately.IdleExpiresAt = epoch
	insert(t, st, lately)
	removed := 0
	for round := 0; ; round++ {
		n, more, err := st.DeleteSessions(t.Context(), epoch, 3)
		ok(t, err)
		if n > 3 || round > 20 {
			t.Fatalf("got %d removed in round %d, want at most 3 and an end", n, round)
		}
		removed += n
		if !more {
			break
		}
	}
	if removed != 7 {
		t.Fatalf("got %d removed, want 7", removed)
	}
	holds(t, st, live)
	holds(t, st, lately)
}

func deleteSlid(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	c := confirmation(s)
	c.IdleExpiresAt = epoch.Add(10 * time.Hour)
	_, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{5 * time.Hour, 0}, {9 * time.Hour, 0}, {11 * time.Hour, 1}} {
		n, _, err := st.DeleteSessions(t.Context(), epoch.Add(tt.after), 100)
		ok(t, err)
		if n != tt.want {
			t.Fatalf("after %v: got %d removed, want %d", tt.after, n, tt.want)
		}
	}
}

func deleteEndedEarly(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	other := insert(t, st, randomSession("v"))
	_, err := st.EndSessions(t.Context(), bitjang.EndFilter{UserID: "u", At: epoch.Add(time.Minute), Reason: bitjang.EndedByUser})
	ok(t, err)
	other.EndedAt, other.EndReason = epoch.Add(time.Minute), bitjang.EndedByUser
	ok(t, st.UpdateSession(t.Context(), other))
	n, _, err := st.DeleteSessions(t.Context(), epoch.Add(2*time.Minute), 100)
	ok(t, err)
	if n != 2 {
		t.Fatalf("got %d removed, want 2", n)
	}
	_, err = st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}

func sessionCancelled(t *testing.T, st sessionStore) {
	s := randomSession("u")
	ctx := cancelled(t)
	_, getErr := st.Session(ctx, s.ID)
	_, confirmErr := st.ConfirmSession(ctx, confirmation(s))
	_, listErr := st.Sessions(ctx, bitjang.SessionQuery{UserID: "u", Limit: 1})
	_, endErr := st.EndSessions(ctx, bitjang.EndFilter{UserID: "u", At: epoch})
	_, _, deleteErr := st.DeleteSessions(ctx, epoch, 1)
	for call, err := range map[string]error{
		"InsertSession": st.InsertSession(ctx, s), "Session": getErr, "ConfirmSession": confirmErr,
		"UpdateSession": st.UpdateSession(ctx, s), "Sessions": listErr, "EndSessions": endErr, "DeleteSessions": deleteErr,
	} {
		if err == nil || errors.Is(err, bitjang.ErrConflict) || errors.Is(err, bitjang.ErrNotFound) {
			t.Errorf("%s: got %v, want the context's error", call, err)
		}
	}
	_, err := st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}
