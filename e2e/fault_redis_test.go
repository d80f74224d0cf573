//go:build fault

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
)

func startRedis(t *testing.T, fsync string) (arena, *servers.Server) {
	t.Helper()
	store := servers.Own(t, func(ctx context.Context) (*servers.Server, error) {
		return servers.Redis(ctx, servers.RedisOptions{AppendFsync: fsync})
	})
	a := behindWires(t, "BITJANG_SESSIONS", store)
	besideSQLite(t, &a)
	return a, store
}

// besideSQLite gives the nodes a database for what is not in Redis: users, keys
// and events. Nothing happens to it.
func besideSQLite(t *testing.T, a *arena) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shared.db")
	for i := range a.settings {
		a.settings[i] = append(a.settings[i], "BITJANG_DATABASE=sqlite:"+file)
	}
}

// startRedisAlways starts a Redis that may lose nothing.
func startRedisAlways(t *testing.T) arena {
	a, _ := startRedis(t, "always")
	return a
}

// startRedisEverySecond starts a Redis that may lose the last second when the
// machine crashes, and a little by itself: while the disk is slow it answers
// for up to two seconds before it has written. Refreshes that it lost are
// forgiven by the verdict `ahead`, so nobody is logged out; ends that it lost
// are undone.
func startRedisEverySecond(t *testing.T) arena {
	a, store := startRedis(t, "everysec")
	for i := range a.faults {
		if a.faults[i].name == "killed" {
			a.faults[i] = afterTwoSeconds(a.faults[i])
		}
	}
	a.faults = append(a.faults, afterTwoSeconds(fault{name: "crashed, the last second lost", strike: func(s *storm) error { return loseASecond(s, store) }}))
	return a
}

// afterTwoSeconds makes what was answered in the two seconds before a fault part
// of what it may lose.
func afterTwoSeconds(f fault) fault {
	strike := f.strike
	f.loses = losesEnds
	f.strike = func(s *storm) error {
		time.Sleep(2 * time.Second)
		return strike(s)
	}
	return f
}

// loseASecond leaves Redis what a crash of the machine would: kill -9 alone does
// not lose what the kernel was given, so the file is cut to the length that it
// had a second before.
func loseASecond(s *storm, store *servers.Server) error {
	files, err := filepath.Glob(filepath.Join(store.DataDir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("look for the append-only file: got %v, %w", files, err)
	}
	before, err := os.Stat(files[0])
	if err != nil {
		return err
	}
	s.logout(s.bystander()) // the table shall say what becomes of it
	time.Sleep(time.Second)
	if err := store.Kill(); err != nil {
		return err
	}
	after, err := os.Stat(files[0])
	if err != nil {
		return err
	}
	if after.Size() <= before.Size() {
		return errors.New("nothing was written in the second before the crash")
	}
	s.t.Logf("the crash loses %d bytes", after.Size()-before.Size())
	if err := os.Truncate(files[0], before.Size()); err != nil {
		return err
	}
	return store.Start(s.t.Context())
}

// bystander is a session that nothing has happened to.
func (s *storm) bystander() *session {
	for _, sess := range s.sessions {
		if !sess.coveted && !sess.doomed(s.now()) {
			return sess
		}
	}
	s.t.Fatal("no session is just honest")
	return nil
}
