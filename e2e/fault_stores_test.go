//go:build fault

package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
)

// targets are the stores and what is done to each.
var targets = []target{
	{"sqlite", startSQLite},
	{"postgres", startPostgres},
	{"mariadb", startMariaDB},
	{"redis-always", startRedisAlways},
	{"redis-everysec", startRedisEverySecond},
	{"sentinel", startSentinel},
	{"cluster", startCluster},
}

func startSQLite(t *testing.T) arena {
	t.Helper()
	a := arena{faults: []fault{nodeKilled(0), nodeKilled(1), stoppedWithTheLock()}}
	file := filepath.Join(t.TempDir(), "shared.db")
	for i := range a.settings {
		a.settings[i] = []string{"BITJANG_DATABASE=sqlite:" + file}
	}
	return a
}

// stoppedWithTheLock stops a node in the middle of a transaction: the other
// cannot write until its patience with the lock is over. The node is caught in it
// by trying until the other stands still.
func stoppedWithTheLock() fault {
	return fault{name: "a node stopped while it holds the lock", strike: func(s *storm) error {
		for range 100 {
			if err := s.stopNode(0); err != nil {
				return err
			}
			time.Sleep(300 * time.Millisecond) // for what the other had under way
			before := s.tally.served()
			time.Sleep(500 * time.Millisecond)
			locked := s.tally.served() == before
			if locked {
				time.Sleep(11 * time.Second)
			}
			if err := s.continueNode(0); err != nil || locked {
				return err
			}
			time.Sleep(200 * time.Millisecond)
		}
		return errors.New("it never held the lock when it was stopped")
	}}
}

func startPostgres(t *testing.T) arena {
	t.Helper()
	store := servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.Postgres(ctx) })
	a := behindWires(t, "BITJANG_DATABASE", store)
	a.faults = append(a.faults, storeDown("restarted in immediate mode", store, func(ctx context.Context) error { return store.StopImmediate(ctx) }))
	return a
}

func startMariaDB(t *testing.T) arena {
	t.Helper()
	return behindWires(t, "BITJANG_DATABASE", servers.Own(t, func(ctx context.Context) (*servers.Server, error) { return servers.MariaDB(ctx) }))
}

// behindWires is a single server with all that can happen to one.
func behindWires(t *testing.T, setting string, store *servers.Server) arena {
	t.Helper()
	wires := newWires(t, store.Addr())
	return arena{
		settings: through(wires, setting, store.URL(), store.Addr()),
		wires:    wires,
		logs:     store.Log,
		faults: append(wireFaults(), nodeKilled(0),
			storeDown("killed", store, func(context.Context) error { return store.Kill() }),
			// Longer than a call may take, so that calls are given up and done later.
			fault{name: "stopped for 4 s", strike: func(*storm) error {
				if err := store.Pause(); err != nil {
					return err
				}
				time.Sleep(4 * time.Second)
				return store.Resume()
			}},
		),
	}
}

func storeDown(name string, store *servers.Server, down func(context.Context) error) fault {
	return fault{name: name, strike: func(s *storm) error {
		if err := down(s.t.Context()); err != nil {
			return err
		}
		time.Sleep(time.Second)
		return store.Start(s.t.Context())
	}}
}
