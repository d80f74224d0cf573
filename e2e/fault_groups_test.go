//go:build fault

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bitjang/bitjang/internal/servers"
)

// Sentinels and clusters hand out the servers' own addresses, so no proxy can
// stand between them and the nodes: what happens here happens to the servers.
//
// Logins and ends wait for ALL replicas that may take over, and may not be lost.
// One of two would not do: a fail-over may choose the other, and while it is
// under way the old primary still has a replica that says it has them.
// Refreshes wait for none; those that a fail-over loses are forgiven by the
// verdict `ahead`.
const (
	bothReplicas   = "?replicas=2" // a Sentinel group's primary has two
	theOnlyReplica = "?replicas=1" // a cluster's primaries have one each
)

func startSentinel(t *testing.T) arena {
	t.Helper()
	g := servers.Own(t, func(ctx context.Context) (*servers.SentinelGroup, error) {
		return servers.Sentinel(ctx, servers.RedisOptions{})
	})
	a := arena{logs: g.Log}
	for i := range a.settings {
		a.settings[i] = []string{"BITJANG_SESSIONS=" + g.URL() + bothReplicas}
	}
	besideSQLite(t, &a)
	overthrow := func(name string, strike func(context.Context, *servers.Server) error) fault {
		return fault{name: name, loses: losesRefreshes, strike: func(s *storm) error {
			i, err := g.Primary(s.t.Context())
			if err != nil {
				return err
			}
			if err := strike(s.t.Context(), g.Nodes[i]); err != nil {
				return err
			}
			return g.Ready(s.t.Context())
		}}
	}
	succeeded := func(ctx context.Context, old *servers.Server) error {
		return until(ctx, func() error {
			i, err := g.Primary(ctx)
			if err == nil && g.Nodes[i] == old {
				err = errors.New("the primary is still the same")
			}
			return err
		})
	}
	killed := func(ctx context.Context, old *servers.Server) error {
		return errors.Join(old.Kill(), succeeded(ctx, old), old.Start(ctx))
	}
	a.faults = []fault{
		nodeKilled(0),
		{name: "a replica killed", strike: func(s *storm) error {
			i, err := g.Primary(s.t.Context())
			if err != nil {
				return err
			}
			replica := g.Nodes[(i+1)%len(g.Nodes)]
			err = replica.Kill()
			time.Sleep(2 * time.Second)
			return errors.Join(err, replica.Start(s.t.Context()), g.Ready(s.t.Context()))
		}},
		overthrow("ordered fail-over", func(ctx context.Context, _ *servers.Server) error { return g.Failover(ctx) }),
		overthrow("primary killed", killed),
		overthrow("primary stopped for 4 s", func(_ context.Context, old *servers.Server) error {
			return stopped([]*servers.Server{old}, 4*time.Second, func() error { return nil })
		}),
		// What the primary took in these seconds no replica has.
		overthrow("replicas away for 5 s, then the primary killed", func(ctx context.Context, old *servers.Server) error {
			var replicas []*servers.Server
			for _, n := range g.Nodes {
				if n != old {
					replicas = append(replicas, n)
				}
			}
			err := away(ctx, replicas, 5*time.Second, old.Kill)
			return errors.Join(err, succeeded(ctx, old), old.Start(ctx))
		}),
	}
	return a
}

func startCluster(t *testing.T) arena {
	t.Helper()
	g := servers.Own(t, func(ctx context.Context) (*servers.ClusterGroup, error) {
		return servers.Cluster(ctx, servers.RedisOptions{})
	})
	a := arena{logs: g.Log}
	for i := range a.settings {
		a.settings[i] = []string{"BITJANG_SESSIONS=" + g.URL() + theOnlyReplica}
	}
	besideSQLite(t, &a)
	onTwo := func(name string, loses losses, strike func(ctx context.Context, one, other int) error) fault {
		return fault{name: name, loses: loses, strike: func(s *storm) error {
			primaries, err := clusterPrimaries(s.t.Context(), g)
			if err != nil {
				return err
			}
			i := rand.IntN(len(primaries))
			if err := strike(s.t.Context(), primaries[i], primaries[(i+1)%len(primaries)]); err != nil {
				return err
			}
			return g.Ready(s.t.Context())
		}}
	}
	succeeded := func(ctx context.Context, old, replica int) error {
		return until(ctx, func() error {
			if _, err := g.Replica(ctx, old); err == nil {
				return fmt.Errorf("node %d has not taken over", replica)
			}
			return nil
		})
	}
	a.faults = []fault{
		nodeKilled(0),
		onTwo("2000 slots moved", losesNothing, func(ctx context.Context, one, other int) error { return g.MoveSlots(ctx, one, other, 2000) }),
		onTwo("ordered fail-over", losesRefreshes, func(ctx context.Context, one, _ int) error {
			replica, err := g.Replica(ctx, one)
			if err != nil {
				return err
			}
			return g.Failover(ctx, replica)
		}),
		onTwo("a primary killed", losesRefreshes, func(ctx context.Context, one, _ int) error {
			replica, err := g.Replica(ctx, one)
			if err != nil {
				return err
			}
			return errors.Join(g.Nodes[one].Kill(), succeeded(ctx, one, replica), g.Nodes[one].Start(ctx))
		}),
		// Stopped, not killed: a replica that starts without a primary never stands
		// for election.
		onTwo("a replica stopped for 5 s, then its primary killed", losesRefreshes, func(ctx context.Context, one, _ int) error {
			replica, err := g.Replica(ctx, one)
			if err != nil {
				return err
			}
			err = stopped(g.Nodes[replica:replica+1], 5*time.Second, g.Nodes[one].Kill)
			return errors.Join(err, succeeded(ctx, one, replica), g.Nodes[one].Start(ctx))
		}),
		onTwo("a primary stopped for 4 s", losesRefreshes, func(_ context.Context, one, _ int) error {
			return stopped(g.Nodes[one:one+1], 4*time.Second, func() error { return nil })
		}),
	}
	return a
}

// clusterPrimaries are those that have a replica, by index.
func clusterPrimaries(ctx context.Context, g *servers.ClusterGroup) ([]int, error) {
	if err := g.Ready(ctx); err != nil {
		return nil, err
	}
	var list []int
	for i := range g.Nodes {
		if _, err := g.Replica(ctx, i); err == nil {
			list = append(list, i)
		}
	}
	if len(list) < 2 {
		return nil, fmt.Errorf("got the primaries %v, want two at least", list)
	}
	return list, nil
}

// stopped stops servers for a while (SIGSTOP), and does something before it lets
// them go on.
func stopped(which []*servers.Server, hold time.Duration, then func() error) error {
	var errs []error
	for _, s := range which {
		errs = append(errs, s.Pause())
	}
	time.Sleep(hold)
	errs = append(errs, then())
	for _, s := range which {
		errs = append(errs, s.Resume())
	}
	return errors.Join(errs...)
}

// away kills servers for a while, and does something before it starts them again.
func away(ctx context.Context, which []*servers.Server, hold time.Duration, then func() error) error {
	var errs []error
	for _, s := range which {
		errs = append(errs, s.Kill())
	}
	time.Sleep(hold)
	errs = append(errs, then())
	for _, s := range which {
		errs = append(errs, s.Start(ctx))
	}
	return errors.Join(errs...)
}

// until asks until the answer is nil.
func until(ctx context.Context, ask func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := ask()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
