//go:build fault

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is what lies between one node and the store: toxiproxy, with which that
// node alone can be slowed or cut off.
type wire struct{ *toxiproxy.Proxy }

func newWires(t *testing.T, store string) []*wire {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // it would tell of every broken connection
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	var wires []*wire
	for i := range nodes {
		w := &wire{toxiproxy.NewProxy(server, fmt.Sprint("node", i), fmt.Sprintf("127.0.0.1:%d", the.free(t)), store)}
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		wires = append(wires, w)
	}
	return wires
}

// through is the address of a store as seen through the wires.
func through(wires []*wire, setting, url, store string) (all [nodes][]string) {
	for i, w := range wires {
		all[i] = []string{setting + "=" + strings.Replace(url, store, w.Listen, 1)}
	}
	return all
}

// poison adds something bad to a wire and returns what takes it away.
func (w *wire) poison(kind, stream string, attributes map[string]int) (cure func() error, err error) {
	raw, err := json.Marshal(map[string]any{"type": kind, "stream": stream, "attributes": attributes})
	if err != nil {
		return nil, err
	}
	toxic, err := w.Toxics.AddToxicJson(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return func() error { return w.Toxics.RemoveToxic(context.Background(), toxic.Name) }, nil
}

// poisoned is a fault of wires: what is bad about them for a while.
func poisoned(name string, hold time.Duration, which []int, kind string, streams []string, attributes map[string]int) fault {
	return fault{name: name, strike: func(s *storm) (err error) {
		for _, i := range which {
			for _, stream := range streams {
				cure, failed := s.arena.wires[i].poison(kind, stream, attributes)
				if failed != nil {
					return errors.Join(err, failed)
				}
				defer func() { err = errors.Join(err, cure()) }()
			}
		}
		time.Sleep(hold)
		return nil
	}}
}

var (
	both      = []int{0, 1}
	asked     = []string{"upstream"}
	answered  = []string{"downstream"}
	eitherway = []string{"upstream", "downstream"}
)

// wireFaults are those of every store behind wires.
func wireFaults() []fault {
	return []fault{
		poisoned("slow answers, 200 ms give or take 100", 3*time.Second, both, "latency", answered, map[string]int{"latency": 200, "jitter": 100}),
		poisoned("slow for one node, 1 s give or take 900 ms", 3*time.Second, both[:1], "latency", answered, map[string]int{"latency": 1000, "jitter": 900}),
		poisoned("20 kB/s for both nodes", 3*time.Second, both, "bandwidth", answered, map[string]int{"rate": 20}),
		// The store does what it is told, and nobody hears of it.
		poisoned("connections reset by answers", 3*time.Second, both, "reset_peer", answered, map[string]int{"timeout": 0}),
		poisoned("connections reset by questions", 2*time.Second, both, "reset_peer", asked, map[string]int{"timeout": 0}),
		// Nothing passes and nothing breaks: found out by time-out alone.
		poisoned("one node in the dark", 5*time.Second, both[1:], "timeout", eitherway, map[string]int{"timeout": 0}),
		{name: "one node cut off", strike: func(s *storm) error { return s.cut(s.arena.wires[:1], 4*time.Second) }},
		{name: "both nodes cut off", strike: func(s *storm) error { return s.cut(s.arena.wires, 3*time.Second) }},
	}
}

// cut breaks all connections of wires and refuses new ones for a while.
func (s *storm) cut(wires []*wire, hold time.Duration) error {
	for _, w := range wires {
		w.Stop()
	}
	time.Sleep(hold)
	for _, w := range wires {
		if err := w.Start(); err != nil {
			return err
		}
	}
	return nil
}

// nodeKilled is kill -9 of a node and a restart.
func nodeKilled(i int) fault {
	return fault{name: fmt.Sprintf("node %d killed", i), strike: func(s *storm) error {
		s.killNode(i)
		time.Sleep(time.Second)
		s.startNode(i)
		return nil
	}}
}
