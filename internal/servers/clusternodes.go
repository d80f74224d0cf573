package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// clusterNode is a node as the nodes of its cluster see it.
type clusterNode struct {
	index   int // in ClusterGroup.Nodes
	id      string
	primary int // whose replica it is, or -1
	slots   []string
	failing bool
}

func (n clusterNode) owns(slot int) bool {
	return slices.ContainsFunc(n.slots, func(r string) bool {
		first, last, isRange := strings.Cut(r, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		return errA == nil && errB == nil && a <= slot && slot <= b
	})
}

// settled waits until all nodes that run agree, and returns what they agree on.
func (g *ClusterGroup) settled(ctx context.Context) ([]clusterNode, error) {
	var nodes []clusterNode
	err := poll(ctx, func() (err error) {
		running := slices.DeleteFunc(slices.Clone(g.Nodes), func(s *Server) bool { return !s.running() })
		nodes, err = g.agreed(ctx, running)
		return err
	})
	return nodes, err
}

// agreed asks the servers how they see the cluster, and returns the nodes in the
// order of ClusterGroup.Nodes if they all see the same.
func (g *ClusterGroup) agreed(ctx context.Context, servers []*Server) ([]clusterNode, error) {
	var first []clusterNode
	for _, s := range servers {
		state, err := ask(ctx, s, "CLUSTER INFO")
		if err != nil {
			return nil, err
		}
		if !strings.Contains(state, "cluster_state:ok") {
			return nil, fmt.Errorf("%s: the cluster is down", s.name)
		}
		text, err := ask(ctx, s, "CLUSTER NODES")
		if err != nil {
			return nil, err
		}
		nodes, err := g.parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		for _, n := range nodes {
			if n.failing && slices.Contains(servers, g.Nodes[n.index]) {
				return nil, fmt.Errorf("%s: does not reach %s", s.name, g.Nodes[n.index].name)
			}
		}
		if first == nil {
			first = nodes
		}
		if !slices.EqualFunc(first, nodes, sameNode) {
			return nil, fmt.Errorf("%s and %s see different clusters", servers[0].name, s.name)
		}
	}
	if first == nil {
		return nil, errors.New("no node runs")
	}
	return first, nil
}

func sameNode(a, b clusterNode) bool {
	return a.id == b.id && a.primary == b.primary && slices.Equal(a.slots, b.slots)
}

// parse reads the answer to CLUSTER NODES. Each line is
// ID HOST:PORT@BUS FLAGS PRIMARY PING PONG EPOCH LINK SLOT...
func (g *ClusterGroup) parse(text string) ([]clusterNode, error) {
	nodes := make([]clusterNode, len(g.Nodes))
	primaries := map[string]string{} // by id: the id of its primary
	index := map[string]int{"-": -1}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("unexpected line in CLUSTER NODES: %q", line)
		}
		address, _, _ := strings.Cut(f[1], "@")
		_, port, _ := strings.Cut(address, ":")
		i := withPort(g.Nodes, port)
		if i < 0 {
			return nil, fmt.Errorf("an unknown node at %s", f[1])
		}
		// A bracket marks a slot that is on its way, as only its owner sees it.
		if strings.Contains(line, "[") {
			return nil, errors.New("slots are being moved")
		}
		failing := f[7] != "connected" || strings.Contains(f[2], "fail") || strings.Contains(f[2], "handshake")
		index[f[0]], primaries[f[0]] = i, f[3]
		nodes[i] = clusterNode{index: i, id: f[0], slots: f[8:], failing: failing}
	}
	if len(primaries) != len(nodes) {
		return nil, fmt.Errorf("knows %d of %d nodes", len(primaries), len(nodes))
	}
	for i, n := range nodes {
		primary, known := index[primaries[n.id]]
		if !known {
			return nil, fmt.Errorf("the primary of %s is unknown", g.Nodes[i].name)
		}
		nodes[i].primary = primary
	}
	return nodes, nil
}
