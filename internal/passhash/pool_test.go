package passhash

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoMoreThanWorkersRunAtOnce(t *testing.T) {
	const workers, callers = 3, 64
	p := NewPool(workers, callers)
	var running, most, done atomic.Int32
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			err := p.Do(t.Context(), func() {
				now := running.Add(1)
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				time.Sleep(time.Millisecond)
				running.Add(-1)
				done.Add(1)
			})
			if err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	}
	wg.Wait()
	if most.Load() != workers || done.Load() != callers {
		t.Errorf("got %d at once and %d done, want %d and %d", most.Load(), done.Load(), workers, callers)
	}
	checkStats(t, p, stats{})
}

func TestAFullQueueIsBusyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 2)
		release := make(chan struct{})
		for range 3 {
			go p.Do(t.Context(), func() { <-release })
		}
		synctest.Wait()
		checkStats(t, p, stats{Running: 1, Waiting: 2})

		start := time.Now()
		err := p.Do(t.Context(), func() { t.Error("the work ran") })
		if !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want ErrBusy at once", err, time.Since(start))
		}
		close(release)
		synctest.Wait()
		checkStats(t, p, stats{})
		checkWorks(t, p)
	})
}

func TestACancelledWaiterLeavesAndFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 1)
		release := make(chan struct{})
		go p.Do(t.Context(), func() { <-release })
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Do(ctx, func() { t.Error("the work of a cancelled caller ran") })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		checkStats(t, p, stats{Running: 1})

		ran := false
		go p.Do(t.Context(), func() { ran = true })
		synctest.Wait()
		checkStats(t, p, stats{Running: 1, Waiting: 1})
		close(release)
		synctest.Wait()
		if !ran {
			t.Error("the next in the queue did not run")
		}
		checkStats(t, p, stats{})
	})
}

func TestAContextThatHasEndedRunsNothing(t *testing.T) {
	p := NewPool(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a slot is free too, so it is not left to chance
		if err := p.Do(ctx, func() { t.Error("the work ran") }); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	}
	checkWorks(t, p)
}

func TestAPanicInTheWorkReachesTheCallerAndFreesTheSlot(t *testing.T) {
	p := NewPool(1, 0)
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("got the panic %v, want boom", got)
			}
		}()
		p.Do(t.Context(), func() { panic("boom") })
	}()
	checkStats(t, p, stats{})
	checkWorks(t, p)
}

func TestThoseWhoWaitAreServedInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 8)
		release := make(chan struct{})
		go p.Do(t.Context(), func() { <-release })
		synctest.Wait()
		var order []int
		for i := range 8 {
			go p.Do(t.Context(), func() { order = append(order, i) })
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6, 7}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestAPoolOfNonsenseSizesHasOneWorkerAndNoQueue(t *testing.T) {
	p := NewPool(0, -5)
	err := p.Do(t.Context(), func() {
		if err := p.Do(t.Context(), func() {}); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v from a second caller, want ErrBusy", err)
		}
	})
	if err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

type stats struct{ Running, Waiting int }

func checkStats(t *testing.T, p *Pool, want stats) {
	t.Helper()
	var got stats
	got.Running, got.Waiting = p.Stats()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}
}

// checkWorks checks that the pool still runs what it is given.
func checkWorks(t *testing.T, p *Pool) {
	t.Helper()
	ran := false
	if err := p.Do(t.Context(), func() { ran = true }); err != nil || !ran {
		t.Errorf("got %v, ran %t, want nil, true", err, ran)
	}
}
