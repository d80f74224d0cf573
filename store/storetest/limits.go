package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

var limitTests = []test[sessionStore]{
	{"a bucket takes its burst, refuses what is beyond, and empties with time", limitBurst},
	{"a bucket takes what fits to the millisecond", limitExact},
	{"a cost beyond the capacity is refused and stores nothing", limitTooMuch},
	{"a negative cost gives back, also from a bucket that is overfull, empty or not there", limitGiveBack},
	{"keys have buckets of their own", limitKeys},
	{"many who spend at once get no more than the burst", limitConcurrent},
	{"empty buckets are deleted, a few at a time", limitDeleted},
	{"a cancelled context is honoured", limitCancelled},
}

func spend(t *testing.T, st sessionStore, s bitjang.Spending, wantOK bool, wantEmpty time.Time) {
	t.Helper()
	empty, fits, err := st.Spend(t.Context(), s)
	ok(t, err)
	if fits != wantOK || !empty.Equal(wantEmpty) {
		t.Fatalf("got %v, empty at %v; want %v, %v", fits, empty, wantOK, wantEmpty)
	}
}

func limitBurst(t *testing.T, st sessionStore) {
	s := bitjang.Spending{Key: "login:" + oddText, Now: epoch, Cost: time.Second, Capacity: 3 * time.Second}
	for i := range 3 {
		spend(t, st, s, true, epoch.Add(time.Duration(i+1)*time.Second))
	}
	spend(t, st, s, false, epoch.Add(3*time.Second))
	s.Now = epoch.Add(time.Second)
	spend(t, st, s, true, epoch.Add(4*time.Second))
	spend(t, st, s, false, epoch.Add(4*time.Second))
	s.Now = epoch.Add(time.Hour)
	spend(t, st, s, true, epoch.Add(time.Hour+time.Second))
}

func limitExact(t *testing.T, st sessionStore) {
	s := bitjang.Spending{Key: "k", Now: epoch, Cost: 7 * time.Millisecond, Capacity: 7 * time.Millisecond}
	spend(t, st, s, true, epoch.Add(7*time.Millisecond))
	s.Now = epoch.Add(6 * time.Millisecond)
	spend(t, st, s, false, epoch.Add(7*time.Millisecond))
	s.Now = epoch.Add(7 * time.Millisecond)
	spend(t, st, s, true, epoch.Add(14*time.Millisecond))
}

func limitTooMuch(t *testing.T, st sessionStore) {
	s := bitjang.Spending{Key: "k", Now: epoch, Cost: 2 * time.Second, Capacity: time.Second}
	spend(t, st, s, false, epoch)
	s.Cost = time.Second
	spend(t, st, s, true, epoch.Add(time.Second))
}

func limitGiveBack(t *testing.T, st sessionStore) {
	s := bitjang.Spending{Key: "k", Now: epoch, Cost: time.Second, Capacity: 2 * time.Second}
	spend(t, st, s, true, epoch.Add(time.Second))
	spend(t, st, s, true, epoch.Add(2*time.Second))
	back := bitjang.Spending{Key: "k", Now: epoch, Cost: -time.Second, Capacity: time.Hour}
	spend(t, st, back, true, epoch.Add(time.Second))
	spend(t, st, s, true, epoch.Add(2*time.Second))
	spend(t, st, s, false, epoch.Add(2*time.Second))

	fine := bitjang.Spending{Key: "k", Now: epoch, Cost: time.Minute, Capacity: time.Hour}
	spend(t, st, fine, true, epoch.Add(time.Minute+2*time.Second))
	back.Cost = -2 * time.Minute
	spend(t, st, back, true, epoch.Add(-time.Minute+2*time.Second))
	spend(t, st, s, true, epoch.Add(time.Second)) // what lies in the past counts as now

	back.Key, back.Cost = "another", -time.Second
	spend(t, st, back, true, epoch.Add(-time.Second))
	s.Key = "another"
	spend(t, st, s, true, epoch.Add(time.Second))
}

func limitKeys(t *testing.T, st sessionStore) {
	for _, key := range []string{"a", "A", "a ", "b"} {
		s := bitjang.Spending{Key: key, Now: epoch, Cost: time.Second, Capacity: time.Second}
		spend(t, st, s, true, epoch.Add(time.Second))
		spend(t, st, s, false, epoch.Add(time.Second))
	}
}

func limitConcurrent(t *testing.T, st sessionStore) {
	var got atomic.Int64
	race(t, 32, func(int) error {
		_, fits, err := st.Spend(t.Context(), bitjang.Spending{Key: "k", Now: epoch, Cost: time.Second, Capacity: 5 * time.Second})
		if fits {
			got.Add(1)
		}
		return err
	})
	if got.Load() != 5 {
		t.Fatalf("got %d through, want 5", got.Load())
	}
}

func limitDeleted(t *testing.T, st sessionStore) {
	for i := range 5 {
		spend(t, st, bitjang.Spending{Key: fmt.Sprint(i), Now: epoch, Cost: time.Second, Capacity: time.Second}, true, epoch.Add(time.Second))
	}
	live := bitjang.Spending{Key: "live", Now: epoch, Cost: time.Hour, Capacity: time.Hour}
	spend(t, st, live, true, epoch.Add(time.Hour))
	removed := 0
	for round := 0; removed < 5; round++ {
		n, err := st.DeleteLimits(t.Context(), epoch.Add(time.Minute), 2)
		ok(t, err)
		if n > 2 || round > 10 {
			t.Fatalf("got %d removed in round %d, want at most 2 and an end", n, round)
		}
		removed += n
	}
	spend(t, st, live, false, epoch.Add(time.Hour))
}

func limitCancelled(t *testing.T, st sessionStore) {
	_, _, spendErr := st.Spend(cancelled(t), bitjang.Spending{Key: "k", Now: epoch, Cost: time.Second, Capacity: time.Second})
	_, deleteErr := st.DeleteLimits(cancelled(t), epoch, 1)
	for call, err := range map[string]error{"Spend": spendErr, "DeleteLimits": deleteErr} {
		if err == nil {
			t.Errorf("%s: got no error, want the context's", call)
		}
	}
}
