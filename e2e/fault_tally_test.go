//go:build fault

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// losses are what a store may lose by a fault although it has answered.
type losses int

const (
	losesNothing losses = iota
	// losesRefreshes: a primary that asks no replica is overthrown.
	losesRefreshes
	// losesEnds: logins and logouts, too.
	losesEnds
)

// fault is something that is done to the store or a node. strike does it and
// undoes it.
type fault struct {
	name   string
	loses  losses
	strike func(s *storm) error
}

// strike is a fault that was done, until everything was well again.
type strike struct {
	fault
	window
	counts
}

// counts are refreshes by answer.
type counts struct {
	ok, unavailable, broken int
	longest                 time.Duration // that one client waited for tokens
}

func (c counts) String() string {
	return fmt.Sprintf("%6d ok %6d 503 %5d broken, longest wait %v", c.ok, c.unavailable, c.broken, c.longest.Round(time.Millisecond))
}

// tally counts, and knows what is being done.
type tally struct {
	mu      sync.Mutex
	total   counts
	strikes []*strike
	raged   time.Duration
}

func (c *tally) strikesNow(st *strike) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strikes = append(c.strikes, st)
}

func (c *tally) strikeOver(st *strike, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.to = now
}

// each calls do for the total and for what is being done.
func (c *tally) each(do func(*counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(&c.total)
	if n := len(c.strikes); n > 0 && c.strikes[n-1].to == 0 {
		do(&c.strikes[n-1].counts)
	}
}

func (c *tally) count(r request) {
	if r.verb != refreshing {
		return
	}
	c.each(func(n *counts) {
		switch {
		case r.answer.err != nil:
			n.broken++
		case r.answer.status == 503:
			n.unavailable++
		case r.answer.status == 200:
			n.ok++
		}
	})
}

func (c *tally) waited(d time.Duration) {
	c.each(func(n *counts) { n.longest = max(n.longest, d) })
}

func (c *tally) served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total.ok
}

// lost says whether what was answered at a time may be lost when asked for at
// another: in the same strike, or later if it was a strike that loses as much.
func (c *tally) lost(what losses, answered, asked time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.strikes, func(st *strike) bool {
		return st.loses >= what && st.meets(answered, answered) ||
			// A primary that was overthrown serves for a while what it knew before.
			st.loses != losesNothing && st.meets(asked, asked)
	})
}

// losing lists when refreshes may have been lost.
func (c *tally) losing() []window {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []window
	for _, st := range c.strikes {
		if st.loses != losesNothing {
			list = append(list, st.window)
		}
	}
	return list
}

// row is a store's line of the table.
type row struct {
	store                   string
	raged                   time.Duration
	faults                  int
	counts                  counts
	recovered, ahead        int
	thieves, caught         int
	ended, alive, forgotten int
	honest, lost            int
	checked                 int
}

func printRows(t *testing.T, rows []row) {
	out := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "store\tseconds\tfaults\trefreshes\t200\t503\tno answer\tlongest wait\trecover\tahead\tthieves\tcaught\tended\talive\tundone\thonest\tlost\tlinearizable")
	for _, r := range rows {
		c := r.counts
		fmt.Fprintf(out, "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d histories\n", r.store, r.raged.Seconds(), r.faults,
			c.ok+c.unavailable+c.broken, c.ok, c.unavailable, c.broken, c.longest.Seconds(), r.recovered, r.ahead,
			r.thieves, r.caught, r.ended, r.alive, r.forgotten, r.honest, r.lost, r.checked)
	}
	_ = out.Flush() // to the test's own log
}
