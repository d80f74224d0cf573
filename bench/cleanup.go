//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bitjang/bitjang"
)

// span is what refreshes were like for a while.
type span struct {
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
}

// cleaning is what the sweeper did and what refreshes noticed of it.
type cleaning struct {
	Expired   int     `json:"expired"`
	Seconds   float64 `json:"took_seconds"`
	PerSecond float64 `json:"removed_per_second"`
	Before    span    `json:"before"`
	During    span    `json:"during"`
	After     span    `json:"after"`
	Errors    int     `json:"errors"`
}

const (
	// firstSweep is when a server that runs sweeps for the first time.
	firstSweep = time.Minute
	// quietBefore is the time before it that is looked at: it is as long as the
	// server runs, but for its first seconds.
	quietBefore = 50 * time.Second
	quietAfter  = 15 * time.Second
	// sweepLimit is how long it may take.
	sweepLimit = 3 * time.Hour
)

// cleanUp adds expired sessions and waits for the service's own sweeper, under
// load from before it begins until after it has ended.
func (s *scale) cleanUp(ctx context.Context, facts *scaleFacts, h *hoard) error {
	began := time.Now()
	for done := 0; done < s.expired; {
		chunk := min(100_000, s.expired-done)
		if err := h.db.bulk(ctx, chunk, func(i int) bitjang.Session { return h.crowd.longDead(done + i) }); err != nil {
			return fmt.Errorf("load expired sessions: %w", err)
		}
		done += chunk
		s.progressOf(facts.Name+", expired", done, s.expired, float64(done)/time.Since(began).Seconds())
	}
	if err := h.db.settle(ctx); err != nil {
		return err
	}
	first := h.crowd.firstDeath()
	last := first.Add(time.Duration(s.expired) * time.Millisecond)
	if left, err := h.db.dying(ctx, first, last); err != nil || left != s.expired {
		return fmt.Errorf("%d of %d expired sessions are there: %w", left, s.expired, err)
	}
	if err := h.start(ctx, s.bench); err != nil {
		return err
	}
	defer h.stop()
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	d := newDiary(h.visitors)
	defer d.stop()
	from, to, err := s.awaitSweep(ctx, facts.Name, func() (int, error) { return h.db.dying(ctx, first, last) })
	if err != nil {
		return fmt.Errorf("wait for the sweeper: %w", err)
	}
	sleep(ctx, quietAfter)
	d.stop()
	c := &facts.Cleaning
	*c = cleaning{
		Expired: s.expired, Seconds: to.Sub(from).Seconds(), PerSecond: float64(s.expired) / to.Sub(from).Seconds(),
		Before: d.span(from.Add(-quietBefore), from), During: d.span(from, to), After: d.span(to, to.Add(quietAfter)), Errors: d.errors(),
	}
	s.say("%s: swept %s in %.0f s; p99 %.2f ms before, %.2f during, %.2f after; errors %d", facts.Name, thousands(float64(c.Expired)), c.Seconds, c.Before.P99, c.During.P99, c.After.P99, c.Errors)
	return nil
}

// awaitSweep returns when sweeping began and ended, to half a second.
func (s *scale) awaitSweep(ctx context.Context, name string, left func() (int, error)) (from, to time.Time, err error) {
	sleep(ctx, firstSweep-2*time.Second)
	told := time.Now()
	for from = time.Now(); ctx.Err() == nil; sleep(ctx, time.Second/2) {
		looked := time.Now()
		n, err := left()
		switch {
		case err != nil:
			return from, to, err
		case n == s.expired:
			from = looked
		case n == 0:
			return from, looked, nil
		case time.Since(told) > 10*time.Second:
			told = time.Now()
			s.say("%s: %s expired sessions left", name, thousands(float64(n)))
		}
	}
	return from, to, ctx.Err()
}

// diary has callers refresh until it is stopped, and remembers each refresh.
type diary struct {
	began   time.Time
	over    atomic.Bool
	all     sync.WaitGroup
	entries [][]entry
	failed  []int
}

// entry is one refresh, in microseconds.
type entry struct{ end, took int64 }

func newDiary(visitors []*visitor) *diary {
	d := &diary{began: time.Now(), entries: make([][]entry, len(visitors)), failed: make([]int, len(visitors))}
	for i, v := range visitors {
		d.all.Go(func() {
			for !d.over.Load() {
				began := time.Now()
				if err := v.refreshAny(); err != nil {
					d.failed[i]++
					time.Sleep(time.Millisecond)
					continue
				}
				d.entries[i] = append(d.entries[i], entry{time.Since(d.began).Microseconds(), time.Since(began).Microseconds()})
			}
		})
	}
	return d
}

func (d *diary) stop() {
	d.over.Store(true)
	d.all.Wait()
}

func (d *diary) errors() (n int) {
	for _, f := range d.failed {
		n += f
	}
	return n
}

// span looks at a part of a diary that is closed.
func (d *diary) span(from, to time.Time) span {
	first, last := from.Sub(d.began).Microseconds(), to.Sub(d.began).Microseconds()
	var took []time.Duration
	for _, list := range d.entries {
		for _, e := range list {
			if e.end >= first && e.end < last {
				took = append(took, time.Duration(e.took)*time.Microsecond)
			}
		}
	}
	slices.Sort(took)
	seconds := to.Sub(from).Seconds()
	return span{seconds, float64(len(took)) / seconds, percentile(took, 50), percentile(took, 99)}
}

// room stops a load for which there would be no memory or disk, as soon as it is
// known what a session takes.
func (s *scale) room(ctx context.Context, db database, empty int64, have, want int) error {
	now, err := db.bytes(ctx)
	if err != nil {
		return err
	}
	need := float64(now-empty) / float64(have) * float64(want)
	var disk syscall.Statfs_t
	if err := syscall.Statfs(os.TempDir(), &disk); err != nil {
		return err
	}
	const slack = 2.5 // logs, and a second copy while a file is rewritten
	free := float64(disk.Bavail) * float64(disk.Bsize)
	s.say("%s sessions will take about %.1f GB; there are %.1f GB of disk and %.1f GB of memory", thousands(float64(want)), need/1e9, free/1e9, freeMemory()/1e9)
	if need*slack > free {
		return errors.New("that does not fit on the disk")
	}
	if _, inMemory := db.(*redis); inMemory && need*1.3 > freeMemory() {
		return errors.New("that does not fit into the memory")
	}
	return nil
}

// freeMemory is what programs can have without swapping, in bytes.
func freeMemory() float64 {
	raw, _ := os.ReadFile("/proc/meminfo") // 0 is an answer too
	for line := range strings.Lines(string(raw)) {
		if text, found := strings.CutPrefix(line, "MemAvailable:"); found {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return kib * 1024
		}
	}
	return 0
}
