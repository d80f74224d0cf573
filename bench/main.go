//go:build linux

// Command bench measures Bitjang beside what the machine could do at best, in
// one run, and writes the figures down. README.md says what they mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if isLimitServer() {
		exit(serveLimit(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	opt, err := parseFlags(os.Args[1:])
	if err == nil {
		err = run(ctx, opt, os.Stdout)
	}
	stop()
	exit(err)
}

func exit(err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// bench is one run.
type bench struct {
	options
	progress io.Writer
	dir      string // throw-away, on the disk of the checkout
	binary   string // of Bitjang
	settings []string
	callers  []*caller // as many as the most that are asked for
	results  results
}

// newBench builds Bitjang and a place to work in, which close removes.
func newBench(ctx context.Context, opt options, out io.Writer) (*bench, error) {
	b := &bench{options: opt, progress: out}
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(root+"/bench", ".work-"); err != nil {
		return nil, err
	}
	if b.results.Environment, err = describe(ctx, root, b.dir); err == nil {
		err = b.build(ctx, root)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) } // what stays is in .gitignore

// run makes the reports that were asked for.
func run(ctx context.Context, opt options, out io.Writer) error {
	reports := map[string][]func(context.Context, options, io.Writer) error{
		"":         {runEmbedded, runStores},
		"embedded": {runEmbedded},
		"stores":   {runStores},
		"scale":    {runScale},
	}
	for _, report := range reports[opt.report] {
		if err := report(ctx, opt, out); err != nil {
			return err
		}
	}
	return nil
}

// runEmbedded measures Bitjang with its embedded database, and what does not
// depend on the database.
func runEmbedded(ctx context.Context, opt options, out io.Writer) error {
	began := time.Now()
	b, err := newBench(ctx, opt.withDefaults(100_000, 1, 16, 64), out)
	if err != nil {
		return err
	}
	defer b.close()
	for _, step := range []func(context.Context) error{b.load, b.startUp, b.measure, b.takeProfile} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.results.Settings = fmt.Sprintf("%d rounds of %s each", opt.rounds, opt.duration)
	b.results.Took = time.Since(began).Round(time.Second).String()
	b.results.judge()
	if err := b.results.write(out, opt.out, began); err != nil {
		return err
	}
	return b.results.verdict()
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// most is the greatest number of callers.
func (b *bench) most() int { return most(b.options.callers) }

// contestant is something measured at each number of callers.
type contestant struct {
	name string
	op   func(caller int) error
	// pid is the process that does the work, 0 if it is this one. Where it is
	// another one, this one's CPU time is the load generator's.
	pid int
}

// measure starts the server and takes the figures that belong to one process:
// its memory, and everything in rounds.
func (b *bench) measure(ctx context.Context) error {
	server, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	if err := b.memory(ctx, server); err != nil {
		return err
	}
	limit, err := b.startLimit(ctx, b.callers[0])
	if err != nil {
		return err
	}
	defer limit.stop()
	stores, err := b.openStores(ctx)
	if err != nil {
		return err
	}
	defer stores.close()
	contestants := []contestant{
		{nameBitjang, func(i int) error { return b.callers[i].refreshOwn() }, server.pid()},
		{nameLimit, func(i int) error { return limit.callers[i].refreshOwn() }, limit.pid()},
		{nameStore, stores.confirm, 0},
		{nameRaw, stores.update, 0},
	}
	before, err := takeCensus(server.pid(), limit.pid())
	if err != nil {
		return err
	}
	for round := range b.rounds {
		b.say("round %d of %d", round+1, b.rounds)
		if err := b.round(ctx, round, contestants); err != nil {
			return err
		}
		if err := b.verification(ctx, server); err != nil {
			return err
		}
		if err := b.disk(stores); err != nil {
			return err
		}
	}
	after, err := takeCensus(server.pid(), limit.pid())
	b.results.Environment.Others = after.others(before)
	return err
}

// round has each contestant go once at each number of callers, each round
// beginning with another one, so that none has the cold disk every time.
func (b *bench) round(ctx context.Context, round int, contestants []contestant) error {
	for _, n := range b.options.callers {
		for i := range contestants {
			c := contestants[(i+round)%len(contestants)]
			l, err := closedLoop(ctx, c, n, b.duration)
			if err != nil {
				return err
			}
			b.results.add(c.name, n, l)
			b.say("  %-14s %3d callers  %8s/s  p99 %6.2f ms  errors %d", c.name, n, thousands(l.PerSecond), l.P99, l.Errors)
			if l.first != nil {
				b.say("  first error: %v", l.first)
			}
		}
	}
	return nil
}
