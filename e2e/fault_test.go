//go:build fault

package e2e

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

// The fault suite (make fault). For each store, some hundred clients refresh
// against two nodes while the store and the nodes are killed, stopped, cut off
// and slowed, some log out and some are robbed. It takes minutes and both
// processors, hence the build tag.
//
// What it demands is docs/rotation.md's: nobody honest is logged out, no session
// is alive that was ended, every thief is caught, what all of them saw could
// have happened one after the other, and an outage is a 503 that says when to
// come again. A store may lose what its own setting says it may: see lossy.

var (
	faultSeconds = flag.Int("fault.seconds", 60, "how long the clients refresh against each store at least; a plan of faults runs to its end")
	faultSeed    = flag.Uint64("fault.seed", 0, "seed of all choices, though not of their timing; 0: a new one")
	faultClients = flag.Int("fault.clients", 300, "how many clients refresh; three per user")
)

// target is a store with what can happen to it.
type target struct {
	name string
	// start starts the store, and returns how nodes reach it and its faults.
	start func(t *testing.T) arena
}

// arena is a started store.
type arena struct {
	// settings of each of the nodes.
	settings [nodes][]string
	wires    []*wire // between the nodes and the store, if anything is
	faults   []fault
	logs     func() string // what the store's servers logged last
}

func TestFault(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	var rows []row
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			t.Logf("again with: -fault.seed=%d", seed)
			s := newStorm(t, target.name, target.start(t), seed)
			s.rage()
			s.settle()
			rows = append(rows, s.row())
		})
	}
	printRows(t, rows)
}

// atLeast is how long clients refresh at least.
func atLeast() time.Duration { return time.Duration(*faultSeconds) * time.Second }
