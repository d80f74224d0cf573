package bitjang

import (
	"hash/maphash"
	"sync"
	"time"
)

// guessWatch compares how many accounts logins fail at with what is usual at
// this node. Each node sees its share of an attack, and of what is usual.
type guessWatch struct {
	mu       sync.Mutex
	seed     maphash.Seed
	began    time.Time
	failed   map[uint64]struct{} // accounts, at most watchAccounts
	rights   int
	baseline float64 // accounts per window, a moving average
	told     bool    // of this window
}

const (
	watchWindow   = 5 * time.Minute
	watchAccounts = 4096
	watchLearns   = 0.1 // how much of the average the newest window is
)

func newGuessWatch() *guessWatch { return &guessWatch{seed: maphash.MakeSeed()} }

// unusual is the rule: failures at many accounts, many more than usual, and not
// because many people are logging in.
func unusual(failed, rights int, baseline float64) bool {
	return failed >= 50 && float64(failed) > 5*baseline && failed > 3*rights
}

// turn begins a new window if the old one is over.
func (g *guessWatch) turn(now time.Time) {
	if g.failed != nil && now.Before(g.began.Add(watchWindow)) {
		return
	}
	if g.failed != nil {
		g.baseline += watchLearns * (float64(len(g.failed)) - g.baseline)
	}
	g.began, g.failed, g.rights, g.told = now, map[uint64]struct{}{}, 0, false
}

func (g *guessWatch) right(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	g.rights++
}

// wrong returns how many accounts logins have failed at if that is unusual, once
// per window.
func (g *guessWatch) wrong(account string, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	if len(g.failed) < watchAccounts {
		g.failed[maphash.String(g.seed, account)] = struct{}{}
	}
	if g.told || !unusual(len(g.failed), g.rights, g.baseline) {
		return 0
	}
	g.told = true
	return len(g.failed)
}
