//go:build linux

// Command oauth measures what clients and resource servers ask Bitjang for, beside
// node oidc-provider, PocketBase and a bare server, all in one run. ../README.md says
// what the rows mean.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds   int
	duration time.Duration
	callers  []int
	out      string
}

// contestant is one server, and what it can be asked for.
type contestant struct {
	name string
	ops  map[string]op
	cpu  func() time.Duration // processor time of its process so far
}

// op prepares n requests, or as many as there will be with n 0, and returns what
// the caller with that number sends as its kth one.
type op struct {
	once    bool // each request can be sent once: prepare makes them
	prepare func(n int) error
	send    func(caller, k int) error
}

// row is a figure: requests per second, median and spread over the rounds.
type row struct {
	Op         string    `json:"op"`
	Server     string    `json:"server"`
	Callers    int       `json:"callers"`
	PerSecond  []float64 `json:"per_second"`
	CPUMillis  []float64 `json:"cpu_ms"`
	contestant *contestant
}

var opNames = []string{"introspect", "userinfo", "exchange a code", "refresh"}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "length of one measurement")
	callers := flag.String("callers", "1,16", "numbers of callers at once")
	flag.StringVar(&o.out, "out", "bench/results", "directory for the results")
	flag.Parse()
	for c := range strings.SplitSeq(*callers, ",") {
		n, err := strconv.Atoi(c)
		if err != nil {
			fail(err)
		}
		o.callers = append(o.callers, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "oauth:", err)
	os.Exit(1)
}

func run(ctx context.Context, o options) error {
	stage, err := newStage(ctx, slices.Max(o.callers))
	if err != nil {
		return err
	}
	defer stage.close()
	verification, err := stage.verification(ctx)
	if err != nil {
		return err
	}
	var rows []*row
	for _, name := range opNames {
		for _, callers := range o.callers {
			for i := range stage.all {
				if c := &stage.all[i]; c.ops[name].send != nil {
					rows = append(rows, &row{Op: name, Server: c.name, Callers: callers, contestant: c})
				}
			}
		}
	}
	for round := range o.rounds {
		for i := range rows {
			r := rows[(i+round)%len(rows)] // never in the same order
			if err := r.measure(ctx, o.duration); err != nil {
				return fmt.Errorf("%s, %s: %w", r.Server, r.Op, err)
			}
			say("round %d  %-16s %-14s %3d callers  %8.0f/s", round+1, r.Op, r.Server, r.Callers, r.PerSecond[round])
		}
	}
	return report(o, rows, verification)
}

func say(format string, args ...any) {
	fmt.Printf(time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// measure runs one measurement and adds it to the row.
func (r *row) measure(ctx context.Context, length time.Duration) error {
	o := r.contestant.ops[r.Op]
	limit := 0
	if o.once {
		limit = 400 * r.Callers
		if r.Callers > 4 {
			limit = 2400
		}
	}
	if o.prepare != nil {
		if err := o.prepare(limit); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	cpu := r.contestant.cpu()
	n, took, err := drive(ctx, r.Callers, limit, length, o.send)
	if err != nil {
		return err
	}
	spent := r.contestant.cpu() - cpu
	r.PerSecond = append(r.PerSecond, float64(n)/took.Seconds())
	r.CPUMillis = append(r.CPUMillis, float64(spent.Microseconds())/1000/float64(n))
	return nil
}
