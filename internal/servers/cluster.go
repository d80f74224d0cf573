package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// ClusterGroup is a Redis Cluster of three primaries and three replicas.
type ClusterGroup struct {
	Nodes []*Server // the first three are the primaries at the start

	*group
	redis *redis
}

// Cluster starts a group of six nodes with these options.
func Cluster(ctx context.Context, options RedisOptions) (*ClusterGroup, error) {
	if options.TLSCert != "" {
		return nil, errors.New("cluster: TLS is for a single Redis only")
	}
	node, err := newRedis(options)
	if err != nil {
		return nil, err
	}
	node.more = func(s *Server, c *redisConfig) {
		c.line("cluster-enabled", "yes")
		c.line("cluster-port", strconv.Itoa(s.busPort))
		c.line("cluster-node-timeout", "1000")
		c.line("cluster-require-full-coverage", "no")
		c.line("repl-diskless-sync-delay", "0") // 5 seconds otherwise
	}
	ctx, cancel := context.WithTimeout(ctx, 2*groupLimit)
	defer cancel()
	all, err := newGroup("cluster")
	if err != nil {
		return nil, err
	}
	g := &ClusterGroup{group: all, redis: node}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w\n%s", err, g.Log()), g.Close())
	}
	return g, nil
}

func (g *ClusterGroup) start(ctx context.Context) error {
	var err error
	if g.Nodes, err = g.add(ctx, "node", 6, g.redis); err != nil {
		return err
	}
	args := []string{"--cluster", "create"}
	for _, s := range g.Nodes {
		args = append(args, s.Addr())
	}
	args = append(args, "--cluster-replicas", "1", "--cluster-yes")
	if _, err := g.home.run(ctx, nil, g.redis.clientCommand(args...)); err != nil {
		return err
	}
	return g.Ready(ctx)
}

// URL is redis+cluster:// with the addresses of all nodes.
func (g *ClusterGroup) URL() string {
	u := url.URL{Scheme: "redis+cluster", Host: addresses(g.Nodes), User: g.redis.options.userinfo()}
	return u.String()
}

// Ready waits until all is well: all nodes run and agree on who owns which slots,
// and every replica follows its primary.
func (g *ClusterGroup) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	err := poll(ctx, func() error {
		nodes, err := g.agreed(ctx, g.Nodes)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if n.primary >= 0 {
				err = follows(ctx, g.Nodes[n.index], g.Nodes[n.primary])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cluster not ready: %w", err)
	}
	return nil
}

// MoveSlots moves n slots with their keys from one primary to another, by index,
// while the cluster serves (redis-cli --cluster reshard).
func (g *ClusterGroup) MoveSlots(ctx context.Context, from, to, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*groupLimit)
	defer cancel()
	nodes, err := g.settled(ctx)
	if err != nil {
		return fmt.Errorf("move slots: %w", err)
	}
	_, err = g.home.run(ctx, nil, g.redis.clientCommand("--cluster", "reshard", g.Nodes[to].Addr(),
		"--cluster-from", nodes[from].id, "--cluster-to", nodes[to].id,
		"--cluster-slots", strconv.Itoa(n), "--cluster-yes"))
	if err == nil {
		_, err = g.settled(ctx)
	}
	if err != nil {
		return fmt.Errorf("move slots: %w", err)
	}
	return nil
}

// Failover makes a replica, by index, take its primary's place (CLUSTER
// FAILOVER), and returns when all running nodes know it.
func (g *ClusterGroup) Failover(ctx context.Context, replica int) error {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	out, err := ask(ctx, g.Nodes[replica], "CLUSTER FAILOVER")
	if err != nil || out != "OK" {
		return fmt.Errorf("fail over to %s: %s: %w", g.Nodes[replica].name, out, err)
	}
	err = poll(ctx, func() error {
		nodes, err := g.settled(ctx)
		if err == nil && nodes[replica].primary >= 0 {
			err = errors.New("still a replica")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("fail over to %s: %w\n%s", g.Nodes[replica].name, err, g.Log())
	}
	return nil
}

// Owner is the index of the primary that owns the key's slot.
func (g *ClusterGroup) Owner(ctx context.Context, key string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	nodes, err := g.settled(ctx)
	if err != nil {
		return 0, err
	}
	for _, n := range nodes {
		if !g.Nodes[n.index].running() {
			continue
		}
		out, err := ask(ctx, g.Nodes[n.index], "CLUSTER KEYSLOT "+strconv.Quote(key))
		if err != nil {
			return 0, err
		}
		slot, err := strconv.Atoi(out)
		if err != nil {
			return 0, fmt.Errorf("slot of %q: %s", key, out)
		}
		for _, n := range nodes {
			if n.owns(slot) {
				return n.index, nil
			}
		}
	}
	return 0, fmt.Errorf("nobody owns the slot of %q", key)
}

// Replica is the index of a replica of that primary.
func (g *ClusterGroup) Replica(ctx context.Context, primary int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	nodes, err := g.settled(ctx)
	if err != nil {
		return 0, err
	}
	for _, n := range nodes {
		if n.primary == primary {
			return n.index, nil
		}
	}
	return 0, fmt.Errorf("%s has no replica", g.Nodes[primary].name)
}
