//go:build fault

package e2e

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// robbery is a session whose refresh token was copied by a thief that looks like
// its owner's device but for its address.
type robbery struct {
	racer  bool
	stolen grant
	at     time.Duration
	held   grant // what the thief has now
	caught bool
}

// rob steals the token that the owner holds. A racer uses it at once and goes on
// like an owner; another thief waits until the owner has moved on by three
// tokens, and is caught by its first refresh then.
func (s *storm) rob(sess *session, racer bool, dice *rand.Rand) {
	sess.mu.Lock()
	r := &robbery{racer: racer, stolen: sess.held, held: sess.held, at: s.now()}
	sess.robbery = r
	sess.mu.Unlock()
	for !racer && sess.holds().gen < r.stolen.gen+3 {
		if s.raging.Err() != nil {
			return // the end of the storm plays on
		}
		pause(dice, 50, 100)
	}
	for s.raging.Err() == nil {
		if s.loot(sess, dice.IntN(nodes)) {
			return
		}
		pause(dice, 200, 500)
	}
}

// loot is one refresh of the thief's, and says whether that was the end.
func (s *storm) loot(sess *session, node int) bool {
	r := sess.robbery
	got := s.refresh(s.thief[0], sess, "thief", r.held, node)
	switch got.answer.status {
	case http.StatusOK:
		r.held = got.got
	case http.StatusUnauthorized:
		r.caught = true
	}
	return r.caught
}

// trespass checks the second promise: once one of the two holders of a stolen
// token has confirmed a token minted after the theft, the other gets nothing
// more. It returns the request that broke it, or nil.
func trespass(history []request) *request {
	rob := map[bool]time.Duration{} // by whether it is the thief: when it had confirmed such a token
	var stolen uint32
	began := false
	for _, r := range history { // by the time of their answers
		thief := r.who == "thief"
		if thief && !began {
			began, stolen = true, r.given.gen
		}
	}
	if !began {
		return nil
	}
	for i, r := range history {
		if r.verb != refreshing || r.answer.status != http.StatusOK {
			continue
		}
		thief := r.who == "thief"
		if since, ok := rob[!thief]; ok && r.call > since {
			return &history[i]
		}
		if _, ok := rob[thief]; !ok && r.given.gen > stolen {
			rob[thief] = r.ret
		}
	}
	return nil
}
