//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bitjang/bitjang"
)

// rival is Bitjang on one store, that store alone and a bare loop beside it.
type rival struct {
	name    string
	db      database
	server  *process
	callers []*caller

	now   time.Time
	store sessionStore
	alone []bitjang.Session // one for each caller of the store
	loop  bareLoop
	bare  []bitjang.Session // and of the bare loop
}

// comparison is the report that compares stores.
type comparison struct {
	*bench
	minter *minter
	rivals []*rival
	limit  *process
	report comparisonResults
}

func runStores(ctx context.Context, opt options, out io.Writer) (err error) {
	began := time.Now()
	b, err := newBench(ctx, opt.withDefaults(100_000, 1, 16, 64, 256), out)
	if err != nil {
		return err
	}
	defer b.close()
	c := &comparison{bench: b}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.begin(ctx); err != nil {
		return err
	}
	if err := c.measure(ctx); err != nil {
		return err
	}
	r := &c.report
	r.Environment, r.AnswerBytes, r.Sessions = b.results.Environment, b.results.AnswerBytes, b.sessions
	r.Settings = fmt.Sprintf("%d rounds of %s each", b.rounds, b.duration)
	r.Took = time.Since(began).Round(time.Second).String()
	r.judge()
	if err := r.write(out, opt.out, began); err != nil {
		return err
	}
	if err := c.profiles(ctx); err != nil {
		return err
	}
	return r.verdict()
}

// begin starts everything. It all runs throughout, so that each round can visit
// all; what nobody asks anything takes next to no processor time.
func (c *comparison) begin(ctx context.Context) (err error) {
	if _, err := fileSystem(os.TempDir()); err != nil {
		return fmt.Errorf("the database servers' files: %w; set TMPDIR to a disk", err)
	}
	if c.minter, err = newMinter(); err != nil {
		return err
	}
	for _, name := range c.options.stores {
		r := &rival{name: name, db: newDatabase(name, filepath.Join(c.dir, name), c.tuning), now: thisMillisecond()}
		c.rivals = append(c.rivals, r)
		if err := c.beginRival(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	c.limit, err = c.startLimit(ctx, c.rivals[0].callers[0])
	return err
}

func (c *comparison) beginRival(ctx context.Context, r *rival) error {
	if err := r.db.start(ctx); err != nil {
		return err
	}
	version, err := r.db.version(ctx)
	if err != nil {
		return err
	}
	c.report.Stores = append(c.report.Stores, storeFacts{Name: r.name, Version: version, Tuning: c.tuning[r.name]})
	began := time.Now()
	tokens, err := c.fill(ctx, r.db)
	if err != nil {
		return err
	}
	c.say("%s (%s): %s sessions in %s", r.name, version, thousands(float64(c.sessions)), time.Since(began).Round(100*time.Millisecond))
	if r.server, r.callers, err = c.serve(ctx, r.name, r.db, tokens); err != nil {
		return err
	}
	if r.store, err = r.db.open(ctx, false); err != nil {
		return err
	}
	if r.alone, err = someSessions(ctx, r.store, r.now, c.most()); err != nil {
		return err
	}
	if r.bare, err = someSessions(ctx, r.store, r.now, c.most()); err != nil {
		return err
	}
	r.loop, err = r.db.bare(ctx, r.bare)
	return err
}

// fill puts sessions into the store that Bitjang will have, and returns a token
// for each caller.
func (c *comparison) fill(ctx context.Context, db database) (tokens []string, err error) {
	store, err := db.open(ctx, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	now := thisMillisecond()
	own, err := someSessions(ctx, store, now, c.most())
	if err != nil {
		return nil, err
	}
	for _, s := range own {
		tokens = append(tokens, c.minter.token(s.ID, s.Generation, s.Nonce))
	}
	return tokens, inParallel(max(0, c.sessions-len(own)), 64, func(int) error {
		return store.InsertSession(ctx, newSession(now, newUserID()))
	})
}

func someSessions(ctx context.Context, store sessionStore, now time.Time, n int) (list []bitjang.Session, err error) {
	for range n {
		s := newSession(now, newUserID())
		if err := store.InsertSession(ctx, s); err != nil {
			return nil, fmt.Errorf("insert a session: %w", err)
		}
		list = append(list, s)
	}
	return list, nil
}

// serve runs Bitjang on a store, for callers with one token each.
func (c *comparison) serve(ctx context.Context, name string, db database, tokens []string) (*process, []*caller, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	settings := append(db.settings(), c.minter.setting, "BITJANG_DATA_DIR="+filepath.Join(c.dir, "data-"+name))
	p, err := c.startAt(ctx, address, settings...)
	if err != nil {
		return nil, nil, err
	}
	var callers []*caller
	for _, token := range tokens {
		callers = append(callers, &caller{address: address, tokens: []string{token}})
	}
	return p, callers, nil
}

// stop ends what was started, in any state.
func (c *comparison) stop() error {
	if c.limit != nil {
		c.limit.stop()
	}
	var errs []error
	for _, r := range c.rivals {
		if r.server != nil {
			r.server.stop()
		}
		if r.loop != nil {
			r.loop.close()
		}
		if r.store != nil {
			errs = append(errs, r.store.Close())
		}
		errs = append(errs, r.db.close())
	}
	return errors.Join(errs...)
}

// refresh is one durable refresh in the store.
func (r *rival) refresh(caller int) error {
	moved, err := r.store.ConfirmSession(context.Background(), nextConfirmation(&r.alone[caller], r.now))
	if err == nil {
		r.alone[caller] = moved
	}
	return err
}

// update is the same by the driver alone.
func (r *rival) update(caller int) error {
	s := &r.bare[caller]
	next := nextConfirmation(s, r.now)
	err := r.loop.update(next, caller)
	if err == nil {
		s.Generation, s.Nonce = next.Generation, next.Nonce
	}
	return err
}
