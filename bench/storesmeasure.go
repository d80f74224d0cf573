//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// What is measured of each store; nameLimit belongs to none.
const (
	partBitjang = "bitjang"
	partAlone   = "store alone"
	partBare    = "bare loop"
)

// point is a contestant and the store that works for it.
type point struct {
	contestant
	rival *rival // nil for the ceiling
}

func (c *comparison) points() []point {
	limit := c.limit
	list := []point{{contestant{nameLimit, func(i int) error { return limit.callers[i].refreshOwn() }, limit.pid()}, nil}}
	for _, r := range c.rivals {
		list = append(list,
			point{contestant{of(r.name, partBitjang), func(i int) error { return r.callers[i].refreshOwn() }, r.server.pid()}, r},
			point{contestant{of(r.name, partAlone), r.refresh, 0}, r},
			point{contestant{of(r.name, partBare), r.update, 0}, r})
	}
	return list
}

// census counts the processor time of all that is ours.
func (c *comparison) census() (census, error) {
	processes := []*process{c.limit}
	var databases []database
	for _, r := range c.rivals {
		processes, databases = append(processes, r.server), append(databases, r.db)
	}
	return takeCensusOf(processes, databases...)
}

// takeCensusOf is takeCensus with database servers.
func takeCensusOf(processes []*process, databases ...database) (census, error) {
	var pids []int
	for _, p := range processes {
		pids = append(pids, p.pid())
	}
	counted, err := takeCensus(pids...)
	for _, db := range databases {
		spent, treeErr := treeTime(db.pid())
		if treeErr != nil {
			return counted, treeErr
		}
		counted.own += spent
	}
	return counted, err
}

// of names a part of a store's figures.
func of(store, part string) string { return store + ": " + part }

// measure visits everything in every round, beginning with another one each
// time: noise, and a disk that others have left busy, hit all alike.
func (c *comparison) measure(ctx context.Context) error {
	before, err := c.census()
	if err != nil {
		return err
	}
	if err := c.count(ctx, func(s *storeFacts, rows int) { s.RowsBefore = rows }); err != nil {
		return err
	}
	points := c.points()
	for round := range c.rounds {
		c.say("round %d of %d", round+1, c.rounds)
		for _, n := range c.options.callers {
			for i := range points {
				p := points[(i+round*len(points)/c.rounds)%len(points)]
				if err := c.visit(ctx, p, n); err != nil {
					return err
				}
			}
		}
	}
	if err := c.count(ctx, func(s *storeFacts, rows int) { s.RowsAfter = rows }); err != nil {
		return err
	}
	for i, r := range c.rivals {
		for _, n := range c.options.callers {
			for _, l := range c.report.find(of(r.name, partBitjang), n).Rounds {
				c.report.Stores[i].Refreshes += l.Done
			}
		}
	}
	after, err := c.census()
	c.results.Environment.Others = after.others(before)
	return err
}

// visit takes the figures of one point.
func (c *comparison) visit(ctx context.Context, p point, callers int) error {
	l, err := p.run(ctx, callers, c.duration)
	if err != nil {
		return err
	}
	c.report.add(p.name, callers, l)
	c.say("  %-26s %3d callers  %8s/s  p99 %7.2f ms  CPU %.3f + %.3f ms  log %5.0f B  errors %d",
		p.name, callers, thousands(l.PerSecond), l.P99, l.CPU, l.StoreCPU, l.Log, l.Errors)
	if l.first != nil {
		c.say("  first error: %v", l.first)
	}
	return nil
}

// run is a closed loop, and what it cost the store.
func (p point) run(ctx context.Context, callers int, length time.Duration) (load, error) {
	spent, written, err := p.spent(ctx)
	if err != nil {
		return load{}, err
	}
	l, err := closedLoop(ctx, p.contestant, callers, length)
	if err != nil {
		return load{}, err
	}
	spentNow, writtenNow, err := p.spent(ctx)
	if l.Done > 0 {
		l.StoreCPU = (spentNow - spent).Seconds() * 1000 / float64(l.Done)
		l.Log = float64(writtenNow.since(written)) / float64(l.Done)
	}
	return l, err
}

// spent is what the store has taken so far.
func (p point) spent(ctx context.Context) (time.Duration, logged, error) {
	if p.rival == nil || (p.rival.db.pid() == 0 && p.pid == 0) {
		return 0, logged{}, nil // nobody but this process
	}
	spent, err := treeTime(p.rival.db.pid())
	if err != nil {
		return 0, logged{}, err
	}
	written, err := p.rival.db.logged(ctx, p.pid)
	return spent, written, err
}

func (c *comparison) count(ctx context.Context, keep func(*storeFacts, int)) error {
	for i, r := range c.rivals {
		rows, err := r.db.rows(ctx)
		if err != nil {
			return fmt.Errorf("count the rows of %s: %w", r.name, err)
		}
		keep(&c.report.Stores[i], rows)
	}
	return nil
}

// profiles are apart from the measurements: profiling costs.
func (c *comparison) profiles(ctx context.Context) error {
	if c.profile == "" {
		return nil
	}
	for _, r := range c.rivals {
		admin, err := freeAddress()
		if err != nil {
			return err
		}
		r.server.stop()
		settings := append(r.db.settings(), c.minter.setting, "BITJANG_DATA_DIR="+filepath.Join(c.dir, "data-"+r.name), "BITJANG_ADMIN_LISTEN="+admin)
		for _, caller := range r.callers {
			caller.hangUp()
		}
		if r.server, err = c.startAt(ctx, r.server.address, settings...); err != nil {
			return err
		}
		file := filepath.Join(filepath.Dir(c.profile), r.name+"-"+filepath.Base(c.profile))
		err = c.profileTo(ctx, file, admin, contestant{r.name, func(i int) error { return r.callers[i].refreshOwn() }, r.server.pid()})
		if err != nil {
			return err
		}
	}
	return nil
}
