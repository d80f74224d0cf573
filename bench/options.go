//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	report   string // "" for the usual ones
	duration time.Duration
	rounds   int
	callers  []int
	sessions int
	starts   int
	stores   []string
	tuning   map[string][]string // of database servers, by the name of the store
	expired  int
	out      string
	profile  string
}

const synopsis = `Usage: go run ./bench [embedded | stores | scale] [flags]

embedded  Bitjang with SQLite, verification, start and memory
stores    refreshes on each store beside their limits
scale     many sessions against few, and cleaning up
Without a word it makes the reports of embedded and stores.

`

func parseFlags(args []string) (opt options, err error) {
	if len(args) > 0 && slices.Contains([]string{"embedded", "stores", "scale"}, args[0]) {
		opt.report, args = args[0], args[1:]
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(os.Stderr, synopsis)
		f.PrintDefaults()
	}
	f.DurationVar(&opt.duration, "duration", 5*time.Second, "length of one measurement")
	f.IntVar(&opt.rounds, "rounds", 3, "how often everything is measured")
	callers := f.String("callers", "", "numbers of callers at once (default 1,16,64, with several stores also 256, for scale 64)")
	f.IntVar(&opt.sessions, "sessions", 0, "sessions in each store (default 100,000, for scale 1,000,000)")
	f.IntVar(&opt.starts, "starts", 10, "how often the server is started to time it")
	stores := f.String("stores", strings.Join(databaseNames, ","), "what is compared")
	f.IntVar(&opt.expired, "expired", 0, "scale: expired sessions to clean up (default as many as -sessions, at most 1,000,000)")
	tuning := map[string]*string{
		"postgres": f.String("postgres", "", "settings of PostgreSQL beside its defaults, like shared_buffers=1GB, with commas between"),
		"mariadb":  f.String("mariadb", "", "the same of MariaDB, like innodb-buffer-pool-size=4G"),
	}
	f.StringVar(&opt.out, "out", "bench/results", "directory for the results")
	f.StringVar(&opt.profile, "profile", "", "after the measurements, write CPU profiles of the server under the most callers to this file; with stores, to one file for each with its name in front")
	if err := f.Parse(args); err != nil {
		return opt, err
	}
	if opt.callers, err = parseCallers(*callers); err != nil {
		return opt, err
	}
	if opt.stores, err = parseStores(*stores); err != nil {
		return opt, err
	}
	opt.tuning = map[string][]string{}
	for name, text := range tuning {
		if *text != "" {
			opt.tuning[name] = strings.Split(*text, ",")
		}
	}
	if opt.duration < 10*time.Millisecond || opt.rounds < 1 || opt.starts < 1 || opt.sessions < 0 || opt.expired < 0 || f.NArg() > 0 {
		return opt, errors.New("-duration, -rounds and -starts must be positive, and there are no arguments")
	}
	return opt, nil
}

func parseCallers(text string) (list []int, err error) {
	if text == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-callers: %q is no number of callers", word)
		}
		list = append(list, n)
	}
	return list, nil
}

// withDefaults fills in what differs from report to report.
func (o options) withDefaults(sessions int, callers ...int) options {
	if o.sessions == 0 {
		o.sessions = sessions
	}
	if o.callers == nil {
		o.callers = callers
	}
	return o
}
