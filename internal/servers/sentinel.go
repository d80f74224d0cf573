package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// SentinelGroup is a Redis primary with two replicas, watched by three sentinels.
type SentinelGroup struct {
	MasterName string
	Nodes      []*Server // the first is the primary at the start
	Sentinels  []*Server

	*group
	options RedisOptions
}

// Sentinel starts a group. The options are those of its three Redis servers; the
// sentinels have no password.
func Sentinel(ctx context.Context, options RedisOptions) (*SentinelGroup, error) {
	if options.TLSCert != "" {
		return nil, errors.New("sentinel: TLS is for a single Redis only")
	}
	node, err := newRedis(options)
	if err != nil {
		return nil, err
	}
	path, err := program("redis-sentinel", "redis-sentinel", "valkey-sentinel")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*groupLimit)
	defer cancel()
	all, err := newGroup("sentinel")
	if err != nil {
		return nil, err
	}
	g := &SentinelGroup{MasterName: "mymaster", group: all, options: options}
	if err := g.start(ctx, node, path); err != nil {
		return nil, errors.Join(fmt.Errorf("start sentinel: %w\n%s", err, g.Log()), g.Close())
	}
	return g, nil
}

func (g *SentinelGroup) start(ctx context.Context, node *redis, program string) error {
	node.more = func(_ *Server, c *redisConfig) {
		c.line("repl-diskless-sync-delay", "0") // 5 seconds otherwise
		if len(g.Nodes) > 0 {
			c.line("replicaof", "127.0.0.1", strconv.Itoa(g.Nodes[0].port))
		}
	}
	primary, err := g.add(ctx, "primary", 1, node)
	if err != nil {
		return err
	}
	g.Nodes = primary
	replicas, err := g.add(ctx, "replica", 2, node)
	if err != nil {
		return err
	}
	g.Nodes = append(g.Nodes, replicas...)
	// The sentinels learn of the replicas by asking the primary every ten
	// seconds: the first time, it should know them already.
	if err := poll(ctx, func() error { return g.replicating(ctx, 0) }); err != nil {
		return err
	}
	watch := &sentinel{redis: &redis{client: node.client}, program: program, group: g}
	if g.Sentinels, err = g.add(ctx, "sentinel", 3, watch); err != nil {
		return err
	}
	return g.Ready(ctx)
}

// sentinel is Redis in another mode, with a configuration of its own.
type sentinel struct {
	*redis
	program string
	group   *SentinelGroup
}

// prepare writes the configuration, once: Sentinel keeps what it knows in it.
func (k *sentinel) prepare(s *Server) error {
	g, o := k.group, k.group.options
	var c redisConfig
	c.line("bind", "127.0.0.1")
	c.line("port", strconv.Itoa(s.port))
	c.line("dir", s.data)
	c.line("sentinel monitor", g.MasterName, "127.0.0.1", strconv.Itoa(g.Nodes[0].port), "2")
	c.line("sentinel down-after-milliseconds", g.MasterName, "1000")
	c.line("sentinel failover-timeout", g.MasterName, "5000")
	c.line("sentinel parallel-syncs", g.MasterName, "1")
	if o.User != "" {
		c.line("sentinel auth-user", g.MasterName, o.User)
	}
	if o.Password != "" {
		c.line("sentinel auth-pass", g.MasterName, o.Password)
	}
	return c.write(s, "")
}

func (k *sentinel) command(s *Server) []string { return []string{k.program, configPath(s)} }

// URL is redis+sentinel:// with the addresses of the sentinels and the name of
// the primary. A user and password in it are those of the Redis servers.
func (g *SentinelGroup) URL() string {
	u := url.URL{Scheme: "redis+sentinel", Host: addresses(g.Sentinels), Path: "/" + g.MasterName, User: g.options.userinfo()}
	return u.String()
}

// Primary is the index of the node that two sentinels at least hold for the
// primary. Between a primary's end and the choice of a new one, that is the old.
func (g *SentinelGroup) Primary(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	var primary int
	err := poll(ctx, func() (err error) {
		primary, err = g.agreed(ctx)
		return err
	})
	return primary, err
}

func (g *SentinelGroup) agreed(ctx context.Context) (int, error) {
	votes := make([]int, len(g.Nodes))
	var errs []error
	for _, s := range g.Sentinels {
		out, err := ask(ctx, s, "SENTINEL GET-MASTER-ADDR-BY-NAME "+g.MasterName)
		_, port, _ := strings.Cut(out, "\n")
		i := withPort(g.Nodes, port)
		if err != nil || i < 0 {
			errs = append(errs, fmt.Errorf("%s: no primary: %q: %w", s.name, out, err))
			continue
		}
		if votes[i]++; votes[i] >= 2 {
			return i, nil
		}
	}
	return 0, errors.Join(append(errs, errors.New("no two sentinels agree on a primary"))...)
}

// Failover makes a sentinel give the primary's place to a replica (SENTINEL
// FAILOVER), and returns when the sentinels agree on the new one and it takes
// writes. The rest of the group follows later, see Ready.
func (g *SentinelGroup) Failover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	before, err := g.Primary(ctx)
	if err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	err = poll(ctx, func() error { return g.orderFailover(ctx) })
	if err != nil {
		return fmt.Errorf("fail over: %w\n%s", err, g.Log())
	}
	err = poll(ctx, func() error {
		now, err := g.agreed(ctx)
		switch {
		case err != nil:
			return err
		case now == before:
			return errors.New("the primary is still the same")
		}
		return role(ctx, g.Nodes[now], "master")
	})
	if err != nil {
		return fmt.Errorf("fail over: %w\n%s", err, g.Log())
	}
	return nil
}

// orderFailover asks each sentinel until one accepts. One refuses while it is
// still busy with the last failover or has not heard of a fit replica.
func (g *SentinelGroup) orderFailover(ctx context.Context) error {
	var errs []error
	for _, s := range g.Sentinels {
		out, err := ask(ctx, s, "SENTINEL FAILOVER "+g.MasterName)
		if err == nil && out == "OK" {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %s: %w", s.name, out, err))
	}
	return errors.Join(errs...)
}

// Ready waits until all is well: every sentinel knows the primary, both replicas
// and the other sentinels, and both replicas follow the primary. After a failover
// that takes about ten seconds: so long Sentinel lets the old primary be, which
// takes writes that will be lost.
func (g *SentinelGroup) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	err := poll(ctx, func() error {
		primary, err := g.agreed(ctx)
		if err != nil {
			return err
		}
		for _, s := range g.Sentinels {
			if err := g.informed(ctx, s, primary); err != nil {
				return err
			}
		}
		return g.replicating(ctx, primary)
	})
	if err != nil {
		return fmt.Errorf("sentinel group not ready: %w", err)
	}
	return nil
}

func (g *SentinelGroup) informed(ctx context.Context, s *Server, primary int) error {
	out, err := ask(ctx, s, "SENTINEL MASTER "+g.MasterName)
	if err != nil {
		return err
	}
	words := strings.Split(out, "\n")
	known := map[string]string{}
	for i := 0; i+1 < len(words); i += 2 {
		known[words[i]] = words[i+1]
	}
	for name, want := range map[string]string{
		"port":                strconv.Itoa(g.Nodes[primary].port),
		"flags":               "master",
		"num-slaves":          "2",
		"num-other-sentinels": "2",
	} {
		if known[name] != want {
			return fmt.Errorf("%s: %s is %q, not yet %s", s.name, name, known[name], want)
		}
	}
	return nil
}

// replicating says whether all other nodes follow the primary, up to date.
func (g *SentinelGroup) replicating(ctx context.Context, primary int) error {
	for i, s := range g.Nodes {
		if i == primary {
			if err := role(ctx, s, "master"); err != nil {
				return err
			}
		} else if err := follows(ctx, s, g.Nodes[primary]); err != nil {
			return err
		}
	}
	return nil
}

func role(ctx context.Context, s *Server, want string) error {
	fields, err := info(ctx, s, "replication")
	if err == nil && fields["role"] != want {
		err = fmt.Errorf("%s: role is %q, not yet %s", s.name, fields["role"], want)
	}
	return err
}

func follows(ctx context.Context, replica, primary *Server) error {
	fields, err := info(ctx, replica, "replication")
	if err == nil && (fields["role"] != "slave" || fields["master_port"] != strconv.Itoa(primary.port) || fields["master_link_status"] != "up") {
		err = fmt.Errorf("%s: does not follow %s yet: %s of port %s, link %s", replica.name, primary.name,
			fields["role"], fields["master_port"], fields["master_link_status"])
	}
	return err
}
