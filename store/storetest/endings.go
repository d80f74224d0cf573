package storetest

import (
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

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
	idle := randomSession("u")
	idle.IdleExpiresAt = epoch
	insert(t, st, idle)
	expired := randomSession("u")
	expired.ExpiresAt = epoch.Add(time.Minute)
	insert(t, st, expired)

	f := bitjang.EndFilter{UserID: "u", Except: spared.ID, At: epoch.Add(time.Minute), Reason: bitjang.EndedByLogoutAll}
	n, err := st.EndSessions(t.Context(), f)
	ok(t, err)
	if n != 4 {
		t.Fatalf("got %d ended, want 4", n)
	}
	for _, want := range []bitjang.Session{ended(a, f), ended(b, f), ended(held, f), ended(idle, f), spared, foreign, gone, expired} {
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
	is(t, st.UpdateSession(t.Context(), s, nil), bitjang.ErrConflict)
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
	ok(t, st.UpdateSession(t.Context(), other, nil))
	n, _, err := st.DeleteSessions(t.Context(), epoch.Add(2*time.Minute), 100)
	ok(t, err)
	if n != 2 {
		t.Fatalf("got %d removed, want 2", n)
	}
	_, err = st.Session(t.Context(), s.ID)
	is(t, err, bitjang.ErrNotFound)
}

func endOnly(t *testing.T, st sessionStore) {
	one, other, foreign := insert(t, st, randomSession("u")), insert(t, st, randomSession("u")), insert(t, st, randomSession("v"))
	f := bitjang.EndFilter{UserID: "u", Only: one.ID, At: epoch, Reason: bitjang.EndedByLogout}
	for _, want := range []int{1, 0} {
		n, err := st.EndSessions(t.Context(), f)
		ok(t, err)
		if n != want {
			t.Fatalf("got %d ended, want %d", n, want)
		}
	}
	theirs := f
	theirs.Only = foreign.ID
	n, err := st.EndSessions(t.Context(), theirs)
	ok(t, err)
	if n != 0 {
		t.Fatalf("got %d of another user ended, want 0", n)
	}
	for _, want := range []bitjang.Session{ended(one, f), other, foreign} {
		holds(t, st, want)
	}
	list, _ := read(t, st, "")
	equal(t, list, []bitjang.Revocation{told(one, f)})
}
