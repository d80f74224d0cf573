package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"
)

// Finding is something Check found out about a server.
type Finding struct {
	Node string // its host and port
	Text string
	Hint string // what to do about it; "" where nothing is wrong
}

// info is what a server says of itself.
type info map[string]string

func (s *Store) askInfo(ctx context.Context, node valkey.Client) (info, error) {
	text, err := node.Do(ctx, node.B().Info().Build()).ToString()
	if err != nil {
		return nil, err
	}
	found := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			found[name] = value
		}
	}
	return found, nil
}

func (i info) number(name string) int {
	n, _ := strconv.Atoi(i[name])
	return n
}

func (i info) product() string {
	if v := i["valkey_version"]; v != "" {
		return "Valkey " + v
	}
	return "Redis " + i["redis_version"]
}

// fits finds out whether this is a server that we can use in the way that the
// address says.
func (s *Store) fits(ctx context.Context, a *address) error {
	ctx, cancel := s.limited(ctx)
	defer cancel()
	if err := s.client.Do(ctx, s.client.B().Ping().Build()).Error(); err != nil {
		return s.outage(err)
	}
	if a.kind == cluster && s.client.Mode() != valkey.ClientModeCluster {
		return errors.New("redis: this server is not part of a Cluster: use redis:// or redis+sentinel://")
	}
	i, err := s.askInfo(ctx, s.client)
	if forbidden(err) {
		return nil // it then shows when we begin
	}
	if err != nil {
		return s.outage(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(i["redis_version"], "%d.%d", &major, &minor); err == nil && (major < 6 || major == 6 && minor < 2) {
		return fmt.Errorf("redis: %s is too old: 6.2 is the oldest that will do", i.product())
	}
	mode := cmp.Or(i["redis_mode"], i["server_mode"]) // Valkey's name for it
	switch {
	case a.kind != single:
	case mode == "sentinel":
		return errors.New("redis: this is a Sentinel: use redis+sentinel://host:26379/mymaster")
	case mode == "cluster":
		return errors.New("redis: this server is part of a Cluster: use redis+cluster://")
	case i["role"] == "slave":
		return errors.New("redis: this server is a replica, which takes no writes: use the address of its primary, or redis+sentinel://")
	}
	return nil
}

func forbidden(err error) bool {
	refusal, is := valkey.IsValkeyErr(err)
	return is && strings.HasPrefix(refusal.Error(), "NOPERM")
}

// Check looks at how the servers are set up, and says what sessions would be
// lost by. In a Cluster it asks every primary.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	nodes := s.client.Nodes()
	var list []Finding
	var errs []error
	asked := 0
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		c := checker{store: s, node: nodes[addr], addr: addr}
		switch err := c.check(ctx); {
		case forbidden(err):
			asked++
			c.add("what it is and how it keeps data is not for this user to see", "permit INFO to it")
		case err != nil && s.client.Mode() == valkey.ClientModeCluster:
			errs = append(errs, err)
			c.add("it does not answer: "+s.redact(err.Error()), "start it, or make the Cluster forget it")
		case err != nil:
			errs = append(errs, err)
		default:
			asked++
		}
		list = append(list, c.found...)
	}
	if asked == 0 {
		return nil, s.outage(errors.Join(errs...))
	}
	return list, nil
}

// checker looks at one server.
type checker struct {
	store *Store
	node  valkey.Client
	addr  string
	found []Finding
}

func (c *checker) add(text, hint string) {
	c.found = append(c.found, Finding{c.addr, text, hint})
}

func (c *checker) check(ctx context.Context) error {
	ctx, cancel := c.store.limited(ctx)
	defer cancel()
	i, err := c.store.askInfo(ctx, c.node)
	if err != nil {
		return err
	}
	if i["role"] != "master" {
		return nil // its primary is asked too
	}
	attached := i.number("connected_slaves")
	c.add(fmt.Sprintf("%s, primary, %d replicas", i.product(), attached), "")
	if policy := i["maxmemory_policy"]; i.number("maxmemory") > 0 && policy != "noeviction" {
		c.add("when memory is full it throws away live sessions (maxmemory-policy "+policy+")", "set maxmemory-policy noeviction")
	}
	c.replicas(attached)
	return c.settings(ctx, i, attached)
}

func (c *checker) replicas(attached int) {
	asked := int(c.store.replicas)
	switch {
	case attached < asked:
		c.add(fmt.Sprintf("the address says replicas=%d and it has %d: logins fail", asked, attached), "attach replicas, or lower the number")
	case asked < attached && c.store.client.Mode() != valkey.ClientModeStandalone:
		// Each of them may be promoted, and it need not be the one that has them.
		c.add(fmt.Sprintf("a fail-over may undo the latest logins and logouts: it has %d replicas and the address says replicas=%d", attached, asked),
			fmt.Sprintf("set replicas=%d in the address: logins and logouts then wait until every replica has them", attached))
	}
}

// settings looks at what only CONFIG GET tells.
func (c *checker) settings(ctx context.Context, i info, attached int) error {
	set := map[string]string{}
	for _, name := range []string{"save", "appendfsync", "min-replicas-to-write"} {
		values, err := c.node.Do(ctx, c.node.B().ConfigGet().Parameter(name).Build()).AsStrMap()
		if forbidden(err) {
			c.add("how it keeps data is not for this user to see", "permit CONFIG GET to it, or look that appendonly is yes")
			return nil
		}
		if err != nil {
			return err
		}
		maps.Copy(set, values)
	}
	aof := i["aof_enabled"] == "1"
	switch {
	case !aof && set["save"] == "":
		c.add("it keeps nothing on disk: a restart logs everybody out", "set appendonly yes")
	case !aof:
		c.add("it only saves snapshots: a crash loses all logins and logouts since the last one", "set appendonly yes")
	case set["appendfsync"] == "no":
		c.add("a crash of the machine loses some 30 seconds of logins and logouts (appendfsync no; refreshes heal)", "set appendfsync everysec or always")
	case set["appendfsync"] == "everysec":
		c.add("a crash of the machine loses up to a second of logins and logouts (appendfsync everysec; refreshes heal)",
			"set appendfsync always if that is too much, or have replicas elsewhere and their number as replicas= in the address")
	}
	if set["min-replicas-to-write"] == "0" && attached > 0 {
		c.add("a primary that is cut off from its replicas goes on with what a fail-over then undoes", "set min-replicas-to-write 1")
	}
	return nil
}
