//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/bitjang/bitjang"
)

// smallCrowd is how many sessions the large store is compared with.
const smallCrowd = 1000

// hoard is a store with a crowd in it and Bitjang on it.
type hoard struct {
	db       database
	crowd    *crowd
	server   *process
	settings []string
	visitors []*visitor
}

// scale is the report about many sessions.
type scale struct {
	*bench
	minter *minter
	report scaleResults
}

func runScale(ctx context.Context, opt options, out io.Writer) error {
	began := time.Now()
	opt = opt.withDefaults(1_000_000, aimedAt)
	if opt.expired == 0 {
		opt.expired = min(opt.sessions, 1_000_000)
	}
	if opt.sessions < smallCrowd || len(opt.callers) != 1 {
		return fmt.Errorf("scale needs %d sessions and one number of callers", smallCrowd)
	}
	b, err := newBench(ctx, opt, out)
	if err != nil {
		return err
	}
	defer b.close()
	s := &scale{bench: b}
	if s.minter, err = newMinter(); err != nil {
		return err
	}
	r := &s.report
	r.Environment, r.Callers, r.Sessions, r.Small = b.results.Environment, b.most(), opt.sessions, smallCrowd
	for _, name := range opt.stores {
		facts := &scaleFacts{Name: name, Tuning: opt.tuning[name]}
		r.Stores = append(r.Stores, facts)
		if err := s.visit(ctx, facts); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.Settings = fmt.Sprintf("%d callers, %d rounds of %s each", b.most(), b.rounds, b.duration)
	r.Took = time.Since(began).Round(time.Second).String()
	r.judge()
	if err := r.write(out, opt.out, began); err != nil {
		return err
	}
	return r.verdict()
}

// visit does everything on one store and leaves nothing of it behind: the next
// one needs the memory and the disk.
func (s *scale) visit(ctx context.Context, facts *scaleFacts) (err error) {
	var hoards []*hoard
	defer func() {
		for _, h := range hoards {
			err = errors.Join(err, h.close())
		}
	}()
	for _, n := range []int{smallCrowd, s.sessions} {
		name := fmt.Sprintf("%s-%d", facts.Name, n)
		h := &hoard{db: newDatabase(facts.Name, filepath.Join(s.dir, name), s.tuning), crowd: newCrowd(s.minter, n)}
		hoards = append(hoards, h)
		h.settings = []string{s.minter.setting, "BITJANG_DATA_DIR=" + filepath.Join(s.dir, "data-"+name)}
		if err := h.db.start(ctx); err != nil {
			return err
		}
		h.settings = append(h.settings, h.db.settings()...)
		// The large one comes last, and so it is its figures that stay.
		if err := s.load(ctx, facts, h, n); err != nil {
			return err
		}
	}
	if err := s.compare(ctx, facts, hoards[0], hoards[1]); err != nil {
		return err
	}
	return s.cleanUp(ctx, facts, hoards[1])
}

// load fills the store: some sessions through it, the others in bulk.
func (s *scale) load(ctx context.Context, facts *scaleFacts, h *hoard, n int) error {
	version, err := h.db.version(ctx)
	if err != nil {
		return err
	}
	facts.Version = version
	empty, err := s.insertSome(ctx, facts, h, n)
	if err != nil {
		return err
	}
	began, done := time.Now(), facts.Inserted
	for done < n {
		chunk := min(100_000, n-done)
		if err := h.db.bulk(ctx, chunk, func(i int) bitjang.Session { return h.crowd.live(done + i) }); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		done += chunk
		rate := float64(done-facts.Inserted) / time.Since(began).Seconds()
		s.progressOf(facts.Name, done, n, rate)
		if n > smallCrowd && done-facts.Inserted <= 100_000 {
			if err := s.room(ctx, h.db, empty, done, n+s.expired); err != nil {
				return err
			}
		}
	}
	facts.BulkSeconds = time.Since(began).Seconds()
	facts.BulkPerSecond = float64(n-facts.Inserted) / facts.BulkSeconds
	if err := h.db.settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	full, err := h.db.bytes(ctx)
	facts.BytesEach = float64(full-empty) / float64(n)
	return err
}

// insertSome measures what the store itself takes in, and returns how large it
// was when it was empty.
func (s *scale) insertSome(ctx context.Context, facts *scaleFacts, h *hoard, n int) (empty int64, err error) {
	store, err := h.db.open(ctx, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if empty, err = h.db.bytes(ctx); err != nil {
		return 0, err
	}
	facts.Inserted = max(1, n/50)
	began := time.Now()
	err = inParallel(facts.Inserted, s.most(), func(i int) error { return store.InsertSession(ctx, h.crowd.live(i)) })
	facts.InsertPerSecond = float64(facts.Inserted) / time.Since(began).Seconds()
	if n > smallCrowd {
		s.say("%s: InsertSession %s/s", facts.Name, thousands(facts.InsertPerSecond))
	}
	return empty, err
}

func (s *scale) progressOf(name string, done, n int, rate float64) {
	if n <= smallCrowd {
		return
	}
	left := time.Duration(float64(n-done) / rate * float64(time.Second))
	s.say("%s: %s of %s sessions, %s/s, %s to go", name, thousands(float64(done)), thousands(float64(n)), thousands(rate), left.Round(time.Second))
}

// start runs Bitjang on the store.
func (h *hoard) start(ctx context.Context, b *bench) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if h.server, err = b.startAt(ctx, address, h.settings...); err != nil {
		return err
	}
	if h.visitors == nil {
		h.visitors = h.crowd.visitors(address, b.most())
	}
	for _, v := range h.visitors {
		v.hangUp()
		v.address = address
	}
	return nil
}

func (h *hoard) stop() {
	if h.server != nil {
		h.server.stop()
		h.server = nil
	}
}

func (h *hoard) close() error {
	h.stop()
	return h.db.close()
}

// compare measures both stores in turns.
func (s *scale) compare(ctx context.Context, facts *scaleFacts, small, large *hoard) error {
	for _, h := range []*hoard{small, large} {
		if err := h.start(ctx, s.bench); err != nil {
			return err
		}
		defer h.stop()
	}
	ours := []*process{small.server, large.server}
	before, err := takeCensusOf(ours, small.db, large.db)
	if err != nil {
		return err
	}
	for round := range s.rounds {
		for i := range 2 {
			h, into, name := small, &facts.Small, "small"
			if (i+round)%2 == 1 {
				h, into, name = large, &facts.Large, "large"
			}
			l, err := s.refreshAny(ctx, h)
			if err != nil {
				return err
			}
			*into = append(*into, l)
			s.say("%s: %s store  %8s/s  p99 %7.2f ms  CPU %.3f + %.3f ms  log %5.0f B  errors %d", facts.Name, name, thousands(l.PerSecond), l.P99, l.CPU, l.StoreCPU, l.Log, l.Errors)
		}
	}
	after, err := takeCensusOf(ours, small.db, large.db)
	s.report.Environment.Others = max(s.report.Environment.Others, after.others(before))
	return err
}

func (s *scale) refreshAny(ctx context.Context, h *hoard) (load, error) {
	r := &rival{db: h.db}
	p := point{contestant{"", func(i int) error { return h.visitors[i].refreshAny() }, h.server.pid()}, r}
	l, err := p.run(ctx, s.most(), s.duration)
	if l.first != nil {
		s.say("  first error: %v", l.first)
	}
	return l, err
}
