package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
)

// shared holds what Need started, for CloseAll. A test binary has no other
// place that outlives a test.
var shared struct {
	sync.Mutex
	byName map[string]*once
}

type once struct {
	sync.Once
	server io.Closer
	err    error
}

// Need returns the server of that name, started once for all tests of this
// binary; TestMain must end with CloseAll. Where its program is missing the test
// is skipped, saying what to install, or fails if CI is set. Under -short, which
// is for tests without servers, it is always skipped.
//
// Tests that harm a server should have their own, from Own.
func Need[S io.Closer](t testing.TB, name string, start func(context.Context) (S, error)) S {
	t.Helper()
	short(t)
	shared.Lock()
	if shared.byName == nil {
		shared.byName = map[string]*once{}
	}
	o := shared.byName[name]
	if o == nil {
		o = &once{}
		shared.byName[name] = o
	}
	shared.Unlock()
	o.Do(func() {
		// Not the test's context: the server outlives the test.
		s, err := start(context.Background())
		if o.err = err; err == nil {
			o.server = s
		}
	})
	started(t, o.err)
	s, is := o.server.(S)
	if !is {
		t.Fatalf("%s: started before as a %T", name, o.server)
	}
	return s
}

// Own starts a server for this test alone and closes it after the test.
// It skips and fails like Need.
func Own[S io.Closer](t testing.TB, start func(context.Context) (S, error)) S {
	t.Helper()
	short(t)
	s, err := start(t.Context())
	started(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func short(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no servers")
	}
}

func started(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// NeedPostgres is Need with a usual PostgreSQL.
func NeedPostgres(t testing.TB) *Server {
	t.Helper()
	return Need(t, "postgres", func(ctx context.Context) (*Server, error) { return Postgres(ctx) })
}

// NeedMariaDB is Need with a usual MariaDB.
func NeedMariaDB(t testing.TB) *Server {
	t.Helper()
	return Need(t, "mariadb", func(ctx context.Context) (*Server, error) { return MariaDB(ctx) })
}

// NeedRedis is Need with a usual Redis.
func NeedRedis(t testing.TB) *Server {
	t.Helper()
	return Need(t, "redis", func(ctx context.Context) (*Server, error) { return Redis(ctx, RedisOptions{}) })
}

// NeedSentinel is Need with a usual group of Redis and Sentinel.
func NeedSentinel(t testing.TB) *SentinelGroup {
	t.Helper()
	return Need(t, "sentinel", func(ctx context.Context) (*SentinelGroup, error) { return Sentinel(ctx, RedisOptions{}) })
}

// NeedCluster is Need with a usual Redis Cluster.
func NeedCluster(t testing.TB) *ClusterGroup {
	t.Helper()
	return Need(t, "cluster", func(ctx context.Context) (*ClusterGroup, error) { return Cluster(ctx, RedisOptions{}) })
}

// CloseAll closes what Need started.
func CloseAll() error {
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	for name, o := range shared.byName {
		if o.server == nil {
			continue
		}
		if err := o.server.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", name, err))
		}
	}
	shared.byName = nil
	return errors.Join(slices.Clip(errs)...)
}
