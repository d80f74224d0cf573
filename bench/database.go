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
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
)

// database is where sessions can be kept, with all that differs around it. It
// has more methods than an interface should: each is one question of the report,
// and splitting them by report would need four more types.
type database interface {
	start(ctx context.Context) error
	close() error
	settings() []string // that make Bitjang keep its sessions there
	version(ctx context.Context) (string, error)
	pid() int // of the database server, 0 if there is none

	// open opens the store, the one that Bitjang uses or, where two processes
	// would be in each other's way, another one just like it.
	open(ctx context.Context, bitjangs bool) (sessionStore, error)
	// bare is the usual refresh without our code: a loop around the driver.
	bare(ctx context.Context, sessions []bitjang.Session) (bareLoop, error)

	// rows counts everything that is kept.
	rows(ctx context.Context) (int, error)
	// logged is how much was written for durability so far. Bitjang's process
	// writes it where there is no server.
	logged(ctx context.Context, bitjang int) (logged, error)

	// bulk adds sessions by the fastest way that there is.
	bulk(ctx context.Context, n int, session func(i int) bitjang.Session) error
	// bytes is how much the sessions take, with their indexes.
	bytes(ctx context.Context) (int64, error)
	// settle lets what goes on behind a bulk load come to its end.
	settle(ctx context.Context) error
	// dying counts the sessions that the sweeper is to look at before t. The
	// sessions' times are a millisecond apart from first on.
	dying(ctx context.Context, first, t time.Time) (int, error)
}

// sessionStore is what we need of a store.
type sessionStore interface {
	InsertSession(context.Context, bitjang.Session) error
	ConfirmSession(context.Context, bitjang.Confirmation) (bitjang.Session, error)
	Close() error
}

// bareLoop is a driver with nothing around it.
type bareLoop interface {
	update(c bitjang.Confirmation, caller int) error
	close()
}

// logged is a position in a log. Two are comparable if the log was not rewritten
// in between.
type logged struct {
	bytes int64
	epoch string
}

// since returns the bytes written since an earlier look, 0 if nobody can tell.
func (l logged) since(earlier logged) int64 {
	if l.epoch != earlier.epoch {
		return 0
	}
	return max(0, l.bytes-earlier.bytes)
}

// databaseNames are what -stores takes, in the order of the report.
var databaseNames = []string{"sqlite", "postgres", "mariadb", "redis", "redis-always"}

// databaseTitles are the names for people.
var databaseTitles = map[string]string{
	"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB",
	"redis": "Redis, everysec", "redis-always": "Redis, always",
}

// newDatabase does not start it yet. dir is for files of its own.
func newDatabase(name, dir string, tuning map[string][]string) database {
	switch name {
	case "postgres":
		return &postgres{tuning: tuning[name]}
	case "mariadb":
		return &mariadb{tuning: tuning[name]}
	case "redis":
		return &redis{fsync: "everysec"}
	case "redis-always":
		return &redis{fsync: "always"}
	}
	return &sqlite{dir: dir}
}

func parseStores(text string) ([]string, error) {
	var list []string
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(databaseNames, name) {
			return nil, fmt.Errorf("-stores: %q is none of %s", name, strings.Join(databaseNames, ", "))
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, nil
}

// treeTime is the processor time of a process and all below it, with that of
// those that have ended. PostgreSQL has a process for each connection.
func treeTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields, err := statFields(child); err == nil { // it may be gone by now
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	var total time.Duration
	for left := []int{pid}; len(left) > 0; left = left[1:] {
		spent, err := spentWithDead(left[0])
		if err != nil && left[0] == pid {
			return 0, err
		}
		total += spent
		left = append(left, children[left[0]]...)
	}
	return total, nil
}

// spentWithDead adds cutime and cstime: what children took that have ended.
func spentWithDead(pid int) (time.Duration, error) {
	fields, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, text := range fields[11:15] { // utime stime cutime cstime
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// number64 reads the number that a server's client printed.
func number64(text string, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
}

// infoNumber finds a figure in what Redis says about itself.
func infoNumber(info, name string) (int64, error) {
	for line := range strings.Lines(info) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("redis says nothing about %s", name)
}

// waitFor asks once a second, for a few minutes, and then goes on regardless.
func waitFor(ctx context.Context, done func() (bool, error)) error {
	for range 300 {
		if ok, err := done(); ok || err != nil {
			return err
		}
		sleep(ctx, time.Second)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func closeServer(s *servers.Server) error {
	if s == nil {
		return nil
	}
	return s.Close()
}

var errBareMoved = errors.New("the bare loop's row has moved")
