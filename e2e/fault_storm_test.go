//go:build fault

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// storm is one store's run: two nodes, their clients, what is done to them and
// what came of it.
type storm struct {
	t     *testing.T
	name  string
	arena arena
	nodes [nodes]*node
	// Owners, other tabs of theirs (two share an address) and thieves.
	owner, tabs, thief []*http.Client

	seed     uint64
	began    time.Time
	raging   context.Context // ends when the clients shall stop
	calm     context.CancelFunc
	people   sync.WaitGroup
	sessions []*session // the clients', then the hammers'
	hammers  int        // how many of them are the hammers'

	tally    tally
	problems problems
}

func newStorm(t *testing.T, name string, a arena, seed uint64) *storm {
	t.Helper()
	s := &storm{t: t, name: name, arena: a, seed: seed, began: time.Now(), nodes: startNodes(t, a)}
	s.raging, s.calm = context.WithCancel(t.Context())
	s.owner = []*http.Client{from(t, "127.0.0.1")}
	s.tabs = []*http.Client{from(t, "127.0.0.1"), from(t, "127.0.0.1"), from(t, "127.0.0.2"), from(t, "127.0.0.3")}
	s.thief = []*http.Client{from(t, "127.0.0.4")}
	t.Cleanup(s.explain)
	t.Cleanup(func() { // also when the test has failed half way
		s.calm()
		s.people.Wait()
	})
	s.enroll()
	return s
}

// now is the time since the start of the storm.
func (s *storm) now() time.Duration { return time.Since(s.began) }

// dice returns choices that depend on the seed and on who chooses.
func (s *storm) dice(who string, i int) *rand.Rand {
	h := uint64(i)
	for _, c := range s.name + who {
		h = h*1099511628211 + uint64(c)
	}
	return rand.New(rand.NewPCG(s.seed, h))
}

// rage lets the clients refresh while the plan of faults is carried out, again
// and again in another order, until the time is over. Each fault of the first
// round has its share of thefts and of sessions that are ended.
func (s *storm) rage() {
	honest := s.sessions[:len(s.sessions)-s.hammers]
	parts := s.cast()
	for i, sess := range s.sessions {
		if i < len(honest) {
			s.people.Go(func() { s.own(sess, s.dice("owner", i)) })
		} else {
			s.people.Go(func() { s.hammer(sess, s.dice("hammer", i)) })
		}
	}
	started, dice, plan := s.now(), s.dice("plan", 0), s.arena.faults
	s.strike(fault{name: "nothing", strike: func(*storm) error { time.Sleep(2 * time.Second); return nil }})
	over := func(round int) bool { return s.problems.many() || round > 0 && s.now()-started > atLeast() }
	for round := 0; !over(round); round++ {
		for n, i := range dice.Perm(len(plan)) {
			if over(round) {
				break
			}
			if round == 0 {
				s.play(parts[n*len(parts)/len(plan):(n+1)*len(parts)/len(plan)], dice)
			}
			s.strike(plan[i])
		}
	}
	s.tally.raged = s.now() - started
	s.calm()
	s.people.Wait()
}

// play begins parts within the next seconds.
func (s *storm) play(parts []func(), dice *rand.Rand) {
	for _, part := range parts {
		wait := time.Duration(dice.Int64N(int64(4 * time.Second)))
		s.people.Go(func() {
			select {
			case <-time.After(wait):
				part()
			case <-s.raging.Done():
			}
		})
	}
}

// own refreshes like an app that keeps its tokens in one place: one request at
// a time, and a request that was not answered is sent again with the same token.
func (s *storm) own(sess *session, dice *rand.Rand) {
	var wanted time.Duration // when it began to ask for these tokens
	for answered := true; !answered || s.raging.Err() == nil; {
		if answered {
			wanted = s.now()
		} else if s.now()-wanted > 2*patience {
			s.problems.add(sess, "no tokens for %v", 2*patience)
			return
		}
		r := s.refresh(s.owner[0], sess, "owner", sess.holds(), dice.IntN(nodes))
		answered = !r.answer.open()
		switch {
		case !answered || r.answer.status == http.StatusConflict:
			pause(dice, 50, 150)
			continue
		case r.answer.status != http.StatusOK:
			sess.giveUp()
			return
		case sess.forgets():
			// Its answer shall be lost: it knows of nothing until the grace is over.
			time.Sleep(rotationGrace + time.Second)
			continue
		}
		s.tally.waited(r.ret - wanted)
		sess.keep(r.got)
		// Those with a thief do not use what they got: when a child was seen the
		// verdicts on its parent are others, and that is not what is checked here.
		if dice.IntN(4) == 0 && !sess.robbed() && !sess.coveted {
			s.ask(sess, r.got, dice.IntN(nodes))
		}
		pause(dice, 200, 500)
	}
}

func pause(dice *rand.Rand, from, to int) {
	time.Sleep(time.Duration(from+dice.IntN(to-from)) * time.Millisecond)
}

// hammer is an app in four tabs: all refresh at once with the newest token, or
// one of them with the token before, and one of the answers is kept, when all
// have come.
func (s *storm) hammer(sess *session, dice *rand.Rand) {
	token, before := sess.first, grant{}
	for s.raging.Err() == nil {
		var round sync.WaitGroup
		answers := make([]request, len(s.tabs))
		for i, tab := range s.tabs {
			given, at := token, dice.IntN(nodes)
			// Only once: later it would come too late to be taken for a straggler.
			if i == 0 && before.nonce != "" && dice.IntN(2) == 0 {
				given = before
			}
			round.Go(func() { answers[i] = s.refresh(tab, sess, fmt.Sprint("tab ", i), given, at) })
		}
		round.Wait()
		before = grant{}
		for _, i := range dice.Perm(len(answers)) {
			if a := answers[i]; a.answer.status == http.StatusOK && a.given.nonce == token.nonce {
				before, token = token, a.got
				sess.keep(token)
				break
			}
		}
		if s.problems.has(sess) {
			return
		}
		pause(dice, 150, 400)
	}
}

// strike does one fault and waits until both nodes serve and clients get on.
func (s *storm) strike(f fault) {
	s.t.Helper()
	done := &strike{fault: f, window: window{from: s.now()}}
	s.tally.strikesNow(done)
	if err := f.strike(s); err != nil {
		s.t.Fatalf("%s: %v", f.name, err)
	}
	for i, n := range s.nodes {
		n.until(s.t, fmt.Sprintf("%s: wait for node %d", f.name, i), func() error { return expect(s.owner[0].Get(n.url("/readyz"))) })
	}
	want := s.tally.served() + 50
	s.nodes[0].until(s.t, f.name+": wait for refreshes", func() error {
		if got := s.tally.served(); got < want {
			return fmt.Errorf("got %d, want %d", got, want)
		}
		return nil
	})
	time.Sleep(time.Second)
	s.tally.strikeOver(done, s.now())
	s.t.Logf("%6.1f s  %-52s %s", done.from.Seconds(), f.name, done.counts)
}
