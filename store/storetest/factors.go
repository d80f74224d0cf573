package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var factorTests = []test[store]{
	{"a factor comes back as it went in", factorRoundTrip},
	{"a taken id is ErrExists and changes nothing", factorExists},
	{"a user's factors are listed, the oldest first, and nobody else's", factorOrder},
	{"an update writes what may change and nothing else", factorUpdate},
	{"a stale update is ErrConflict and changes nothing", factorStale},
	{"of many concurrent updates exactly one wins per version", factorOneWinner},
	{"a factor is deleted once, by its user", factorDeletion},
	{"factors go with their user, and no others", factorOwner},
	{"a cancelled context is honoured", factorCancelled},
}

func randomFactor(userID string) bitjang.Factor {
	return bitjang.Factor{
		ID: randomUser().ID, UserID: userID, Kind: bitjang.FactorTOTP, Name: oddText, Sealed: []byte{0, 1, 0xff, '\'', 0},
		Counter: 1 << 40, CreatedAt: epoch, UsedAt: epoch.Add(time.Hour), Version: 1,
	}
}

func insertFactor(t *testing.T, st store, f bitjang.Factor) bitjang.Factor {
	t.Helper()
	ok(t, st.InsertFactor(t.Context(), f))
	return f
}

func holdsFactors(t *testing.T, st store, userID string, want ...bitjang.Factor) {
	t.Helper()
	got, err := st.Factors(t.Context(), userID)
	ok(t, err)
	equal(t, got, want)
}

func factorRoundTrip(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	holdsFactors(t, st, "u", f)
	bare := insertFactor(t, st, bitjang.Factor{ID: "bare", UserID: "v", Kind: bitjang.FactorPasskey, Sealed: []byte{1}, CreatedAt: epoch, Version: 1})
	holdsFactors(t, st, "v", bare)
}

func factorExists(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	other := randomFactor("v")
	other.ID = f.ID
	is(t, st.InsertFactor(t.Context(), other), bitjang.ErrExists)
	holdsFactors(t, st, "u", f)
	holdsFactors(t, st, "v")
}

func factorOrder(t *testing.T, st store) {
	want := make([]bitjang.Factor, 4)
	for _, at := range []int{2, 0, 3, 1} {
		f := randomFactor("u")
		f.CreatedAt = epoch.Add(time.Duration(at) * time.Second)
		want[at] = insertFactor(t, st, f)
	}
	insertFactor(t, st, randomFactor("U"))
	holdsFactors(t, st, "u", want...)
}

func factorUpdate(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	changed := f
	changed.Name, changed.Sealed, changed.Counter, changed.UsedAt = "new", []byte("new"), 7, epoch.Add(time.Minute)
	foreign := changed
	foreign.UserID, foreign.Kind, foreign.CreatedAt = "v", bitjang.FactorPasskey, epoch.Add(time.Second)
	ok(t, st.UpdateFactor(t.Context(), foreign))
	changed.Version = 2
	holdsFactors(t, st, "u", changed)
}

func factorStale(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	ok(t, st.UpdateFactor(t.Context(), f))
	stale := f
	stale.Name = "stale"
	is(t, st.UpdateFactor(t.Context(), stale), bitjang.ErrConflict)
	f.Version = 2
	holdsFactors(t, st, "u", f)
	is(t, st.UpdateFactor(t.Context(), randomFactor("u")), bitjang.ErrConflict)
}

func factorOneWinner(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	var all sync.WaitGroup
	var won atomic.Int32
	for i := range 32 {
		all.Go(func() {
			mine := f
			mine.Counter = int64(i)
			if st.UpdateFactor(t.Context(), mine) == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	equal(t, int(won.Load()), 1)
}

func factorDeletion(t *testing.T, st store) {
	f := insertFactor(t, st, randomFactor("u"))
	is(t, st.DeleteFactor(t.Context(), "v", f.ID), bitjang.ErrNotFound)
	holdsFactors(t, st, "u", f)
	ok(t, st.DeleteFactor(t.Context(), "u", f.ID))
	is(t, st.DeleteFactor(t.Context(), "u", f.ID), bitjang.ErrNotFound)
	is(t, st.UpdateFactor(t.Context(), f), bitjang.ErrConflict)
	holdsFactors(t, st, "u")
}

func factorOwner(t *testing.T, st store) {
	goes, goesNext, stays := randomUser(), randomUser(), randomUser()
	goes.DeleteAt, goesNext.DeleteAt, stays.DeleteAt = epoch, epoch.Add(time.Second), time.Time{}
	for _, u := range []bitjang.User{goes, goesNext, stays} {
		insertUser(t, st, u)
		insertFactor(t, st, randomFactor(u.ID))
		insertFactor(t, st, randomFactor(u.ID))
		list, err := st.Factors(t.Context(), u.ID)
		ok(t, err)
		equal(t, len(list), 2)
	}
	n, err := st.DeleteUsers(t.Context(), epoch.Add(time.Hour), 1)
	ok(t, err)
	equal(t, n, 1)
	holdsFactors(t, st, goes.ID)
	for _, u := range []bitjang.User{goesNext, stays} {
		list, err := st.Factors(t.Context(), u.ID)
		ok(t, err)
		equal(t, len(list), 2)
	}
	_, err = st.DeleteUsers(t.Context(), epoch.Add(time.Hour), 10)
	ok(t, err)
	holdsFactors(t, st, goesNext.ID)
	list, err := st.Factors(t.Context(), stays.ID)
	ok(t, err)
	equal(t, len(list), 2)
}

func factorCancelled(t *testing.T, st store) {
	ctx, f := cancelled(t), randomFactor("u")
	for what, err := range map[string]error{
		"insert": st.InsertFactor(ctx, f), "update": st.UpdateFactor(ctx, f), "delete": st.DeleteFactor(ctx, "u", f.ID),
	} {
		if err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
	if _, err := st.Factors(ctx, "u"); err == nil {
		t.Error("list: got no error")
	}
	holdsFactors(t, st, "u")
}
