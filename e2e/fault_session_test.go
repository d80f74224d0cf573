//go:build fault

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// grant is a pair of tokens and the refresh token's place in the session's chain,
// as its access token tells (docs/rotation.md): nothing here looks into a
// refresh token.
type grant struct {
	tokens
	gen    uint32
	nonce  string
	parent string // the nonce of the token it was exchanged for
}

func readGrant(t tokens, parent string) (grant, error) {
	_, rest, _ := strings.Cut(t.Access, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return grant{}, fmt.Errorf("decode the access token: %w", err)
	}
	var claims struct {
		ID      string `json:"jti"`
		Session string `json:"sid"`
		Gen     uint32 `json:"gen"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return grant{}, fmt.Errorf("read the access token: %w", err)
	}
	id := strings.ReplaceAll(claims.ID, "-", "")
	if len(id) != 32 || claims.Session != t.Session || t.Refresh == "" {
		return grant{}, fmt.Errorf("tokens of session %q with the claims %+v", t.Session, claims)
	}
	return grant{tokens: t, gen: claims.Gen, nonce: id[16:], parent: parent}, nil
}

func (g grant) String() string { return fmt.Sprintf("%d:%.4s", g.gen, g.nonce) }

// request is one request of somebody for a session, and its answer. Times are
// since the start of the storm.
type request struct {
	who       string
	verb      verb
	node      int
	call, ret time.Duration
	given     grant // the token that was sent
	answer    reply
	got       grant // what a refresh gave
}

type verb string

const (
	refreshing verb = "refresh"
	ending     verb = "end" // this session, by whatever request
	asking     verb = "me"
)

// reply is an answer, or why there was none.
type reply struct {
	tokens
	status     int
	code       string
	retryAfter string
	err        error
}

// open says that what was asked for may have been done or not.
func (r reply) open() bool { return r.err != nil || r.status == 503 }

func (r reply) String() string {
	if r.err != nil {
		return "no answer: " + r.err.Error()
	}
	return strings.TrimSpace(fmt.Sprint(r.status, " ", r.code))
}

func (r request) String() string {
	text := fmt.Sprintf("%9.3f-%9.3f  %-12s %-8s at node %d", r.call.Seconds(), r.ret.Seconds(), r.who, r.verb, r.node)
	if r.verb == refreshing {
		text += fmt.Sprintf(" with %s", r.given)
	}
	text += ": " + r.answer.String()
	if r.got.nonce != "" {
		text += " " + r.got.String()
	}
	return text
}

// session is a session, its owner's token, and all that happened to it.
type session struct {
	name, email, device string
	first               grant // of the login

	mu      sync.Mutex
	held    grant // what the owner has stored: the last write wins
	history []request
	// When the first request to end it was sent, and when one was answered with
	// success; 0: none.
	ending, ended time.Duration
	coveted       bool // it will be robbed
	robbery       *robbery
	refused       bool // the owner knows that it is over
	survived      bool // its tokens were good after its end
	forgetful     bool // the owner loses an answer and comes back after the grace
}

func (s *session) holds() grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *session) keep(g grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = g
}

func (s *session) record(r request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, r)
}

// doomed says that by then somebody has asked for its end, or a thief holds a
// token: only then may its tokens be refused.
func (s *session) doomed(by time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending > 0 && s.ending <= by || s.robbery != nil
}

func (s *session) robbed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.robbery != nil
}

// endedAt is when its end was answered for, 0 if it was not.
func (s *session) endedAt() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *session) story() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %s, login gave %s\n", s.name, s.first.Session, s.email, s.first)
	for _, r := range s.history {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}
