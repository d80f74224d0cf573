//go:build linux

package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what one measurement of one contestant came to.
type load struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Errors    int     `json:"errors"`
	// CPU is milliseconds of processor time per operation, of the process that
	// does the work.
	CPU float64 `json:"cpu_ms_per_operation"`
	// Generator is how many processors the load generator kept busy; 0 where
	// it is the same process.
	Generator float64 `json:"generator_cpus"`
	RSS       float64 `json:"rss_mb"`
	// Done counts all that went well, in the warm-up too.
	Done int `json:"done"`
	// StoreCPU is milliseconds of processor time per operation, of the database
	// server; Log is bytes that were written for durability. 0 if unknown.
	StoreCPU float64 `json:"store_cpu_ms_per_operation,omitempty"`
	Log      float64 `json:"log_bytes_per_operation,omitempty"`

	first error
}

// The phases of a measurement. What overlaps the edge of one is not counted.
const (
	warming int32 = iota
	counting
	over
)

// closedLoop has every caller do one operation after the other, first for a
// while that does not count.
func closedLoop(ctx context.Context, c contestant, callers int, length time.Duration) (load, error) {
	var phase atomic.Int32
	var wg sync.WaitGroup
	tallies := make([]tally, callers)
	for i := range tallies {
		wg.Go(func() { tallies[i].fill(&phase, func() error { return c.op(i) }) })
	}
	defer wg.Wait()
	defer phase.Store(over)
	sleep(ctx, min(length/5, time.Second))
	before, err := readUsage(c.pid)
	if err != nil {
		return load{}, err
	}
	began := time.Now()
	phase.Store(counting)
	sleep(ctx, length)
	phase.Store(over)
	took := time.Since(began)
	after, err := readUsage(c.pid)
	if err != nil {
		return load{}, err
	}
	wg.Wait()
	l := sum(tallies, took)
	if n := l.PerSecond * took.Seconds(); n > 0 {
		l.CPU = (after.worker - before.worker).Seconds() * 1000 / n
	}
	if c.pid != 0 {
		l.Generator = (after.own - before.own).Seconds() / took.Seconds()
	}
	l.RSS = after.memory.RSS
	return l, ctx.Err()
}

// tally is what one caller saw.
type tally struct {
	took   []time.Duration
	done   int
	errors int
	first  error
}

func (t *tally) fill(phase *atomic.Int32, op func() error) {
	for {
		before := phase.Load()
		if before == over {
			return
		}
		began := time.Now()
		err := op()
		took := time.Since(began)
		switch {
		case err != nil:
			t.errors++
			if t.first == nil {
				t.first = err
			}
			time.Sleep(time.Millisecond) // a broken server must not make us spin
		case before == counting && phase.Load() == counting:
			t.took = append(t.took, took)
			t.done++
		default:
			t.done++
		}
	}
}

// sum counts errors of the warm-up too.
func sum(tallies []tally, length time.Duration) load {
	var l load
	var all []time.Duration
	for _, t := range tallies {
		all = append(all, t.took...)
		l.Errors += t.errors
		l.Done += t.done
		if l.first == nil {
			l.first = t.first
		}
	}
	slices.Sort(all)
	l.PerSecond = float64(len(all)) / length.Seconds()
	l.P50, l.P99 = percentile(all, 50), percentile(all, 99)
	return l
}

// percentile of sorted durations, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*p/100].Nanoseconds()) / 1e6
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// series is one figure per round.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func (s series) min() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Min(s)
}

func (s series) max() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Max(s)
}

// over divides round by round: what disturbed both of a round cancels out.
func (s series) over(t series) series {
	var out series
	for i := range min(len(s), len(t)) {
		if t[i] > 0 {
			out = append(out, s[i]/t[i])
		}
	}
	return out
}
