//go:build fault

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	hammers   = 8
	perUser   = 3
	thieves   = 20
	leavers   = 12 // log their own device out
	evictors  = 6  // end another device's session
	partings  = 6  // log all three devices of a user out
	forgetful = 5
)

// enroll makes the users and their sessions.
func (s *storm) enroll() {
	s.t.Helper()
	count := max(*faultClients/perUser, 40) * perUser
	s.hammers = hammers
	for i := range count + hammers {
		user := i / perUser
		if i >= count {
			user = i // theirs alone
		}
		s.sessions = append(s.sessions, &session{
			name: fmt.Sprint("session ", i), email: fmt.Sprintf("user%d@example.com", user), device: fmt.Sprint("device ", i),
		})
	}
	// Few at a time: what passwords cost is not what is tested.
	turn := make(chan struct{}, 4)
	var all sync.WaitGroup
	for _, step := range []func(*session, int) error{s.signup, s.login} {
		for i, sess := range s.sessions {
			turn <- struct{}{}
			all.Go(func() {
				defer func() { <-turn }()
				if err := step(sess, i%nodes); err != nil {
					s.t.Errorf("%s: %v", sess.name, err)
				}
			})
		}
		all.Wait()
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *storm) signup(sess *session, node int) error {
	a := s.persist(func() reply {
		return s.send(s.owner[0], node, http.MethodPost, "/v1/signup", sess.device, "", map[string]string{"email": sess.email, "password": password})
	})
	if a.status != http.StatusCreated {
		return fmt.Errorf("sign up: %v", a)
	}
	return nil
}

func (s *storm) login(sess *session, node int) error {
	a := s.persist(func() reply {
		return s.send(s.owner[0], node, http.MethodPost, "/v1/login", sess.device, "", map[string]string{"identifier": sess.email, "password": password})
	})
	if a.status != http.StatusOK {
		return fmt.Errorf("log in: %v", a)
	}
	var err error
	sess.first, err = readGrant(a.tokens, "")
	sess.held = sess.first
	return err
}

// persist sends a request until it is answered.
func (s *storm) persist(send func() reply) reply {
	var a reply
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if a = send(); !a.open() {
			return a
		}
	}
	return a
}

// cast chooses whose session is ended, robbed or otherwise special; everybody
// else is just honest. What it returns is to be played during the storm, in any
// order.
func (s *storm) cast() []func() {
	dice := s.dice("cast", 0)
	users := dice.Perm((len(s.sessions) - s.hammers) / perUser)
	device := func(user, i int) *session { return s.sessions[user*perUser+i] }
	var parts []func()
	for _, user := range users[:partings] {
		parts = append(parts, func() { s.endAll(device(user, 0), device(user, 1), device(user, 2)) })
	}
	users = users[partings:]
	for i, user := range users[:leavers+evictors] {
		if i < leavers {
			parts = append(parts, func() { s.logout(device(user, 0)) })
		} else {
			parts = append(parts, func() { s.evict(device(user, 0), device(user, 1)) })
		}
	}
	for i, user := range users[:thieves+forgetful] {
		sess := device(user, 2)
		if i < thieves {
			sess.coveted = true
			own := rand.New(rand.NewPCG(dice.Uint64(), 0))
			parts = append(parts, func() { s.rob(sess, i%2 == 0, own) })
		} else {
			parts = append(parts, sess.forgetNext)
		}
	}
	dice.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return parts
}

// logout ends the session of a device, with its refresh token.
func (s *storm) logout(sess *session) {
	s.end([]*session{sess}, http.StatusNoContent, func(node int) reply {
		return s.send(s.owner[0], node, http.MethodPost, "/v1/logout", sess.device, "", map[string]string{"refresh_token": sess.holds().Refresh})
	})
}

// evict ends another device's session, which is refreshing.
func (s *storm) evict(by, sess *session) {
	s.end([]*session{sess}, http.StatusNoContent, func(node int) reply {
		return s.send(s.owner[0], node, http.MethodDelete, "/v1/sessions/"+sess.first.Session, by.device, by.holds().Access, nil)
	})
}

// endAll ends all sessions of a user, which are refreshing.
func (s *storm) endAll(all ...*session) {
	s.end(all, http.StatusOK, func(node int) reply {
		return s.send(s.owner[0], node, http.MethodPost, "/v1/logout-all", all[0].device, all[0].holds().Access, nil)
	})
}

// end ends sessions of one user by one kind of request, sent until it is
// answered. Only a success counts as a promise.
func (s *storm) end(all []*session, success int, send func(node int) reply) {
	dice := s.dice("end "+all[0].name, 0)
	for first, deadline := true, time.Now().Add(2*patience); ; first = false {
		r := request{who: "owner", verb: ending, node: dice.IntN(nodes), call: s.now()}
		for _, sess := range all {
			sess.mu.Lock()
			if first {
				sess.ending = r.call
			}
			sess.mu.Unlock()
		}
		r.answer = send(r.node)
		r.ret = s.now()
		for _, sess := range all {
			sess.mu.Lock()
			if r.answer.status == success {
				sess.ended = r.ret
			}
			sess.mu.Unlock()
			s.note(sess, r)
		}
		switch {
		case !r.answer.open():
			return // an answer that is no success is judged by note
		case time.Now().After(deadline):
			s.problems.add(all[0], "no answer to the end for %v", 2*patience)
			return
		}
		pause(dice, 100, 300)
	}
}
