//go:build fault

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/anishathalye/porcupine"
)

// settle looks at every session once all is calm, at both nodes.
func (s *storm) settle() {
	if s.problems.many() {
		return // what follows would only tell the same
	}
	turn := make(chan struct{}, 16)
	for i, sess := range s.sessions {
		turn <- struct{}{}
		s.people.Go(func() {
			defer func() { <-turn }()
			switch {
			case sess.robbed():
				s.settleRobbery(sess)
			case sess.endedAt() > 0:
				s.settleEnded(sess)
			case sess.doomed(s.now()):
				// Somebody asked for its end and was told that it had ended before: it
				// is the history that must make sense.
			default:
				s.settleHonest(sess, i%nodes)
			}
		})
	}
	s.people.Wait()
	s.linearize()
	// Clients do not notice a lost refresh, because the verdict `ahead` forgives it.
	switch ahead, losing := s.counted("ahead"), len(s.tally.losing()) > 0; {
	case ahead > 0 && !losing:
		s.t.Errorf("got %d tokens newer than a store that may lose nothing", ahead)
	case ahead == 0 && losing:
		s.t.Error("the faults that may lose refreshes have lost none: they are too tame")
	}
}

// counted is how many refreshes had that verdict, as far as nodes lived to tell.
func (s *storm) counted(verdict string) int {
	sum := 0
	for _, n := range s.nodes {
		sum += n.counted(verdict)
	}
	return sum
}

// settleHonest: its owner must get tokens at both nodes.
func (s *storm) settleHonest(sess *session, node int) {
	for i := range nodes {
		r := s.refresh(s.owner[0], sess, "owner", sess.holds(), (node+i)%nodes)
		if r.answer.status != http.StatusOK {
			s.problems.add(sess, "an honest session is lost")
			sess.giveUp()
			return
		}
		sess.keep(r.got)
	}
}

// settleEnded: neither token may be good for anything at either node.
func (s *storm) settleEnded(sess *session) {
	if s.wantDead(sess, sess.holds(), "owner") || s.tally.lost(losesEnds, sess.endedAt(), s.now()) {
		return
	}
	s.problems.add(sess, "a session that was ended is alive")
}

// wantDead says whether tokens are refused everywhere, and notes if not.
func (s *storm) wantDead(sess *session, g grant, who string) bool {
	dead := true
	for i := range nodes {
		dead = s.ask(sess, g, i).answer.status == http.StatusUnauthorized && dead
		dead = s.refresh(s.owner[0], sess, who, g, i).answer.status == http.StatusUnauthorized && dead
	}
	if !dead {
		sess.mu.Lock()
		sess.survived = true
		sess.mu.Unlock()
	}
	return dead
}

// settleRobbery: owner and thief go on in turns, and within a few one of them
// must be caught and both be out. They try once more in any case: where an end
// was not answered for, a fail-over may have undone it.
func (s *storm) settleRobbery(sess *session) {
	r := sess.robbery
	for turn := 0; turn == 0 || !(sess.refused && r.caught) && turn < 8; turn++ {
		for range 3 { // as far as another thief waits for
			got := s.refresh(s.owner[0], sess, "owner", sess.holds(), turn%nodes)
			sess.refused = got.answer.status == http.StatusUnauthorized
			if got.answer.status == http.StatusOK {
				sess.keep(got.got)
			}
		}
		r.caught = s.loot(sess, (turn+1)%nodes)
	}
	switch {
	case !r.caught || !sess.refused:
		s.problems.add(sess, "a thief was not caught; it stole %v at %v", r.stolen, r.at)
	case !s.wantDead(sess, sess.holds(), "owner") || !s.wantDead(sess, r.held, "thief"):
		s.problems.add(sess, "a robbed session is alive; the thief stole %v at %v", r.stolen, r.at)
	}
}

// linearize checks what the sessions went through, by the model and by the
// promise about thieves.
func (s *storm) linearize() {
	losing := s.tally.losing()
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for _, sess := range s.sessions {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			history := slices.Clone(sess.history)
			slices.SortStableFunc(history, func(a, b request) int { return cmp.Compare(a.ret, b.ret) })
			if got := linearizable(sess.first, history, losing); got != porcupine.Ok {
				s.problems.add(sess, "not linearizable: %v", got)
			}
			if r := trespass(history); r != nil && len(losing) == 0 {
				s.problems.add(sess, "after owner or thief had confirmed a newer token the other got tokens: %v", r)
			}
		})
	}
	all.Wait()
}

// row counts what came of it.
func (s *storm) row() row {
	r := row{store: s.name, raged: s.tally.raged, faults: len(s.tally.strikes) - 1, counts: s.tally.total, checked: len(s.sessions)}
	r.recovered, r.ahead = s.counted("recover"), s.counted("ahead")
	for _, sess := range s.sessions {
		switch {
		case sess.robbery != nil:
			r.thieves++
			if sess.robbery.caught && !sess.survived {
				r.caught++
			}
		case sess.ended > 0:
			r.ended++
			switch {
			case !sess.survived:
			case s.tally.lost(losesEnds, sess.ended, s.now()):
				r.forgotten++
			default:
				r.alive++
			}
		case sess.ending == 0:
			r.honest++
			if sess.refused {
				r.lost++
			}
		}
	}
	return r
}

// explain shows the histories behind the first problems, and keeps the rest.
func (s *storm) explain() {
	for _, p := range s.problems.list {
		s.t.Errorf("%s: %s", p.sess.name, p.text)
	}
	if !s.t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "bitjang-fault-"+s.name+"-")
	if err != nil {
		s.t.Error(err)
		return
	}
	keep := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.t.Error(err)
		}
	}
	told := map[*session]bool{}
	for _, p := range s.problems.list {
		if !told[p.sess] {
			keep(p.sess.name, p.sess.story())
			if len(told) < 3 {
				s.t.Logf("%s", p.sess.story())
			}
		}
		told[p.sess] = true
	}
	for i, n := range s.nodes {
		keep(fmt.Sprint("node", i, ".log"), n.log.String())
	}
	if s.arena.logs != nil {
		keep("store.log", s.arena.logs())
	}
	s.t.Logf("logs and histories are in %s", dir)
}
