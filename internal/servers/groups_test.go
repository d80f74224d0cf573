package servers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	began := time.Now()
	g := Own(t, func(ctx context.Context) (*SentinelGroup, error) {
		return Sentinel(ctx, RedisOptions{Password: "geheim"})
	})
	t.Logf("started in %v: %s", time.Since(began), g.URL())
	if got := g.URL(); !strings.HasPrefix(got, "redis+sentinel://:geheim@127.0.0.1:") || !strings.HasSuffix(got, "/mymaster") {
		t.Errorf("URL is %s", got)
	}
	old, err := g.Primary(soon(t))
	must(t, err)
	say(t, g.Nodes[old], "SET k 7\nWAIT 2 5000", "OK\n2")

	began = time.Now()
	must(t, g.Failover(soon(t)))
	t.Logf("failed over in %v", time.Since(began))
	next, err := g.Primary(soon(t))
	must(t, err)
	if next == old {
		t.Fatal("the primary is still the same")
	}
	say(t, g.Nodes[next], "GET k\nSET k 8", "7\nOK")

	// What the group is for: nobody orders it, a primary just dies.
	must(t, g.Ready(soon(t)))
	t.Logf("all well again after %v", time.Since(began))
	began = time.Now()
	must(t, g.Nodes[next].Kill())
	must(t, poll(soon(t), func() error {
		third, err := g.Primary(soon(t))
		if err == nil && third == next {
			err = fmt.Errorf("the dead node is still the primary")
		}
		return err
	}))
	t.Logf("a dead primary was replaced in %v", time.Since(began))
	must(t, g.Nodes[next].Start(soon(t)))
}

func TestClusterMovesSlotsAndFailsOver(t *testing.T) {
	t.Parallel()
	began := time.Now()
	g := Own(t, func(ctx context.Context) (*ClusterGroup, error) {
		return Cluster(ctx, RedisOptions{Password: "geheim"})
	})
	t.Logf("started in %v: %s", time.Since(began), g.URL())
	if got := g.URL(); !strings.HasPrefix(got, "redis+cluster://:geheim@127.0.0.1:") {
		t.Errorf("URL is %s", got)
	}

	// A node gives its lowest slots away first, so these keys are among them.
	keys := keysBelow(t, g, 100, 3)
	for _, key := range keys {
		say(t, g.Nodes[0], "SET "+key+" 7", "OK")
	}
	began = time.Now()
	must(t, g.MoveSlots(soon(t), 0, 2, 100))
	t.Logf("moved 100 slots in %v", time.Since(began))
	for _, key := range keys {
		owner, err := g.Owner(soon(t), key)
		must(t, err)
		if owner != 2 {
			t.Errorf("%s is with node %d, want 2", key, owner)
		}
		say(t, g.Nodes[2], "GET "+key, "7")
	}

	replica, err := g.Replica(soon(t), 2)
	must(t, err)
	began = time.Now()
	must(t, g.Failover(soon(t), replica))
	t.Logf("failed over in %v", time.Since(began))
	say(t, g.Nodes[replica], "GET "+keys[0], "7")
	must(t, g.Ready(soon(t)))

	// What the group is for: nobody orders it, a primary just dies.
	began = time.Now()
	must(t, g.Nodes[replica].Kill())
	must(t, poll(soon(t), func() error {
		owner, err := g.Owner(soon(t), keys[0])
		if err == nil && owner != 2 {
			err = fmt.Errorf("node %d still owns %s", owner, keys[0])
		}
		return err
	}))
	t.Logf("a dead primary was replaced in %v", time.Since(began))
	say(t, g.Nodes[2], "GET "+keys[0], "7")
	must(t, g.Nodes[replica].Start(soon(t)))
	must(t, g.Ready(soon(t)))
	leavesNothing(t, g)
}

func leavesNothing(t *testing.T, g *ClusterGroup) {
	t.Helper()
	var pids []int
	for _, s := range g.Nodes {
		pids = append(pids, s.PID())
	}
	must(t, g.Close())
	if left := living(t, pids); len(left) > 0 {
		t.Errorf("processes %v of %v are left", left, pids)
	}
	if _, err := os.Stat(g.home.path); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// keysBelow finds n keys whose slots are below a limit.
func keysBelow(t *testing.T, g *ClusterGroup, limit, n int) []string {
	t.Helper()
	var input strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&input, "CLUSTER KEYSLOT key%d\n", i)
	}
	out, err := g.Nodes[0].CLI(soon(t), input.String())
	must(t, err)
	var keys []string
	for i, slot := range strings.Fields(out) {
		if at, err := strconv.Atoi(slot); err == nil && at < limit && len(keys) < n {
			keys = append(keys, fmt.Sprintf("key%d", i))
		}
	}
	if len(keys) < n {
		t.Fatalf("%d of 5000 keys below slot %d, want %d", len(keys), limit, n)
	}
	return keys
}
