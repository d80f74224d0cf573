//go:build fault

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// send sends one request and reads its whole answer.
func (s *storm) send(c *http.Client, node int, method, path, device, access string, body any) reply {
	payload := &bytes.Buffer{}
	if body != nil {
		if err := json.NewEncoder(payload).Encode(body); err != nil {
			return reply{err: err}
		}
	}
	req, err := http.NewRequest(method, s.nodes[node].url(path), payload)
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("User-Agent", firefox)
	req.Header.Set("Device-Id", device)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{err: err}
	}
	a := reply{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		refusal := struct {
			*tokens
			Code string `json:"code"`
		}{tokens: &a.tokens}
		a.err = json.Unmarshal(raw, &refusal)
		a.code = refusal.Code
	}
	return a
}

// refresh presents a token, and judges and records the answer.
func (s *storm) refresh(c *http.Client, sess *session, who string, given grant, node int) request {
	r := request{who: who, verb: refreshing, node: node, given: given, call: s.now()}
	r.answer = s.send(c, node, http.MethodPost, "/v1/refresh", sess.device, "", map[string]string{"refresh_token": given.Refresh})
	r.ret = s.now()
	if r.answer.status == http.StatusOK {
		got, err := readGrant(r.answer.tokens, given.nonce)
		if err == nil && (got.Session != sess.first.Session || got.gen != given.gen+1 || got.nonce == given.nonce) {
			err = fmt.Errorf("got %s of session %s for %s", got, got.Session, given)
		}
		if err != nil {
			s.problems.add(sess, "%v", err)
		}
		r.got = got
	}
	s.note(sess, r)
	return r
}

// ask uses an access token at an endpoint that looks at the session.
func (s *storm) ask(sess *session, g grant, node int) request {
	r := request{who: "owner", verb: asking, node: node, given: g, call: s.now()}
	r.answer = s.send(s.owner[0], node, http.MethodGet, "/v1/me", sess.device, g.Access, nil)
	r.ret = s.now()
	s.note(sess, r)
	return r
}

// note records a request and says what is wrong with its answer.
func (s *storm) note(sess *session, r request) {
	sess.record(r)
	s.tally.count(r)
	if wrong := s.wrong(sess, r); wrong != "" {
		s.problems.add(sess, "%s: %s", wrong, r)
	}
}

// wrong says why nobody may be answered so, "" if they may.
func (s *storm) wrong(sess *session, r request) string {
	a, ended := r.answer, sess.endedAt()
	switch {
	case a.err != nil:
		if !s.nodes[r.node].wasAway(r.call, r.ret) {
			return "no answer from a node that was there"
		}
	case a.status == http.StatusServiceUnavailable:
		if seconds, err := strconv.Atoi(a.retryAfter); err != nil || seconds < 1 {
			return fmt.Sprintf("a 503 with Retry-After %q", a.retryAfter)
		}
	case a.status == http.StatusOK || a.status == http.StatusNoContent:
		if r.verb != ending && ended > 0 && ended < r.call && !s.tally.lost(losesEnds, ended, r.ret) {
			return fmt.Sprintf("served %v after its end was answered for", r.call-ended)
		}
	case a.status == http.StatusUnauthorized && (a.code == "session_revoked" || a.code == "refresh_token_reused"):
		if !sess.doomed(r.ret) {
			return "an honest session was refused"
		}
	case a.status == http.StatusConflict && r.verb == refreshing:
		if !sess.robbed() && r.who == "owner" {
			return "its only request was told that it is overtaken"
		}
	default:
		return "an answer that there is no reason for"
	}
	return ""
}

func (s *session) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
}

// forgetNext makes the owner lose an answer.
func (s *session) forgetNext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetful = true
}

// forgets says, once, that the owner is to lose the answer it just got.
func (s *session) forgets() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.forgetful
	s.forgetful = false
	return was
}

// problems are what should not have happened.
type problems struct {
	mu   sync.Mutex
	list []problem
}

type problem struct {
	sess *session
	text string
}

func (p *problems) add(sess *session, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, problem{sess, fmt.Sprintf(format, args...)})
}

// many says that there is no use in going on.
func (p *problems) many() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list) >= 10
}

func (p *problems) has(sess *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.list {
		if q.sess == sess {
			return true
		}
	}
	return false
}
