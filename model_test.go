package bitjang

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model explores everything that one honest client, the server and one
// thief can do to a session, in every order, with every loss, and checks the
// two promises of docs/rotation.md in each state:
//
//	P1  nobody honest is logged out
//	P2  no thief stays
//
// The server in it is the real one: judge, follow and sawChild. Only nonces
// and time are the model's: nonces are counted so that states can be compared,
// and time passes in ticks, of which grace is two. A state keeps nothing but
// differences, so there are finitely many and all are visited.

const (
	tick       = time.Second
	modelGrace = 2 * tick
	longAgo    = modelGrace + tick // older than this is all the same
)

// paper is a refresh token in somebody's hands.
type paper struct {
	refreshToken
	fresh bool // minted after the theft
}

// attempt is a refresh of the honest client.
type attempt struct {
	stage     stage
	token     paper
	sent      time.Duration // how long ago
	abandoned bool          // the client does not wait for it any more
	granted   bool
	child     paper
}

type stage byte

const (
	grounded stage = iota
	sent           // on its way to the server
	answered       // on its way back
)

// holder is the client or the thief.
type holder int

const (
	client holder = iota
	thief
)

type world struct {
	server  Session
	minted  bool          // ghost: the confirmed token has a child ...
	childAt time.Duration // ... whose eldest is this old,
	seen    bool          // was seen by a verifier ...
	seenAt  time.Duration // ... this long ago

	jar     paper
	flights [2]attempt

	stolen bool
	loot   []paper // what the thief holds, at most three
	doomed [2]bool // the other holder confirmed a token minted after the theft

	backup *Rotation
	count  uint64 // nonces handed out
}

// modelNow is the present of every state: time passes by aging the past.
var modelNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rules is the server under test. The mutants change one of them.
type rules struct {
	judge func(*Session, refreshToken) verdict
	apply func(*Session, verdict, refreshToken)
	saw   func(*Session, uint32)
	twins bool // children of one parent are alike
	bound bool // the session is bound to a key that client and thief both have
}

// realRules is the code that serves.
func realRules() rules {
	svc := &Service{cfg: Config{OnReuse: RevokeOnReuse, OnRollback: AcceptRollback, RefreshTTL: time.Hour}}
	return rules{
		judge: func(s *Session, t refreshToken) verdict { return judge(s, t, modelNow, Caller{}, modelGrace) },
		apply: func(s *Session, v verdict, t refreshToken) { svc.follow(s, ruling{verdict: v}, t, Caller{}, modelNow) },
		saw:   func(s *Session, generation uint32) { s.sawChild(generation, modelNow) },
	}
}

// boundRules are realRules for a session that is bound to a key, of which the
// thief has a copy. Without one it gets nowhere at all.
func boundRules() rules {
	r := realRules()
	r.bound = true
	r.judge = func(s *Session, t refreshToken) verdict {
		bound := *s
		bound.KeyThumbprint = "key"
		if v := judge(&bound, t, modelNow, Caller{}, modelGrace); s.EndedAt.IsZero() && v != verdictUnproven {
			panic(fmt.Sprintf("without the key the verdict is %v", v))
		}
		return judge(&bound, t, modelNow, Caller{key: "key", Device: Device{ID: "another"}}, modelGrace)
	}
	return r
}

func newWorld() *world {
	w := &world{count: 1}
	w.server = Session{Rotation: Rotation{Generation: 8, Nonce: countedNonce(1), ConfirmedAt: modelNow}}
	w.server.IdleExpiresAt, w.server.ExpiresAt = modelNow.Add(time.Hour), modelNow.Add(time.Hour)
	w.jar = paper{refreshToken: refreshToken{generation: 8, nonce: countedNonce(1)}}
	return w
}

func countedNonce(n uint64) (nonce Nonce) {
	binary.BigEndian.PutUint64(nonce[:], n)
	return nonce
}

// present gives a token to the server and returns the verdict and the child.
// It checks what must hold whoever presents.
func (w *world) present(r rules, p paper, by holder) (v verdict, child paper, problem string) {
	dead := !w.server.EndedAt.IsZero()
	confirmed := p.generation == w.server.Generation && p.nonce == w.server.Nonce
	parent := p.nonce == w.server.Parent && modelNow.Sub(w.server.ConfirmedAt) <= modelGrace
	v = r.judge(&w.server, p.refreshToken)
	switch {
	case v.grants() && dead:
		return v, child, "an ended session gave out tokens"
	case v.grants() && confirmed && w.minted && w.childAt > modelGrace && w.seen && w.seenAt > modelGrace && !r.bound:
		return v, child, "a token whose child is in use for longer than grace was exchanged again"
	case v.grants() && w.doomed[by]:
		return v, child, "P2: a holder got tokens after the other had confirmed one minted after the theft"
	case v == verdictSuperseded && w.doomed[by] && !parent:
		return v, child, "P2: a doomed holder was spared although it is no straggler"
	}
	r.apply(&w.server, v, p.refreshToken)
	if w.backup != nil && w.server.Generation > w.backup.Generation+3 {
		w.backup = nil
	}
	if w.doomed[by] && v != verdictSuperseded && w.server.EndedAt.IsZero() {
		return v, child, "P2: a doomed holder came back and the session lives"
	}
	if !v.grants() {
		return v, child, ""
	}
	if v == verdictConfirm || v == verdictAhead {
		w.minted, w.childAt, w.seen = true, 0, false
		if w.stolen && p.fresh {
			w.doomed[1-by] = true
		}
	} else if !w.minted {
		w.minted, w.childAt = true, 0
	}
	child = paper{p.child(), w.stolen}
	if w.count++; r.twins {
		child.nonce = countedNonce(binary.BigEndian.Uint64(p.nonce[:]) + 1<<32)
	} else {
		child.nonce = countedNonce(w.count)
	}
	return v, child, ""
}

// step is one thing that may happen, and the states it leads to.
type step struct {
	name    string
	next    *world
	problem string
}

func (w *world) clone() *world {
	c := *w
	c.loot = slices.Clone(w.loot)
	if w.backup != nil {
		b := *w.backup
		c.backup = &b
	}
	return &c
}

// steps lists all that may happen next. The honest client alone may see the
// store restored; the thief comes without that.
func (w *world) steps(r rules, withThief bool) []step {
	out := append(w.clientSteps(r), w.passTime())
	if !w.flying() {
		out = append(out, w.useStep(r))
	}
	if withThief {
		return append(out, w.thiefSteps(r)...)
	}
	if r.bound && w.flights[0].stage == grounded && w.flights[1].stage == grounded {
		out = append(out, w.forgetStep())
	}
	return append(out, w.storeSteps()...)
}

func (w *world) flying() bool {
	return slices.ContainsFunc(w.flights[:], func(f attempt) bool { return f.stage != grounded && !f.abandoned })
}

// clientSteps keep the assumptions of P1: tokens in one place, the last write
// wins, no refresh with a newer token while one with an older is under way. A
// request that the client has given up on may still arrive; it is overtaken by
// one newer token at most, because the next is an access token's life away.
func (w *world) clientSteps(r rules) (out []step) {
	for i, f := range w.flights {
		next := w.clone()
		slot := &next.flights[i]
		switch f.stage {
		case grounded:
			if i == 1 && w.flights[0].stage == grounded || w.otherTokenFlies() {
				continue
			}
			*slot = attempt{stage: sent, token: w.jar}
			out = append(out, step{name: fmt.Sprintf("send %d", i), next: next})
		case sent:
			v, child, problem := next.present(r, f.token, client)
			slot.granted, slot.child, slot.stage = v.grants(), child, answered
			if !w.stolen && !v.grants() && v != verdictSuperseded {
				problem = fmt.Sprintf("P1: an honest refresh was judged %v", v)
			}
			if f.abandoned {
				*slot = attempt{}
			}
			out = append(out, step{fmt.Sprintf("serve %d: %v", i, v), next, problem}, w.losing(i), w.abandoning(i))
		case answered:
			if f.granted {
				next.jar = f.child
			}
			*slot = attempt{}
			out = append(out, step{name: fmt.Sprintf("deliver %d", i), next: next}, w.losing(i))
			// Having stored the new token, the client may use the access token
			// that came with it while another request still flies.
			if f.granted {
				used := next.clone()
				r.saw(&used.server, used.jar.generation)
				used.ghostSaw()
				out = append(out, step{name: fmt.Sprintf("deliver %d and use", i), next: used})
			}
		}
	}
	return out
}

func (w *world) otherTokenFlies() bool {
	return slices.ContainsFunc(w.flights[:], func(f attempt) bool {
		overtaken := f.abandoned && f.token.generation+1 == w.jar.generation
		return f.stage != grounded && f.token.nonce != w.jar.nonce && !overtaken
	})
}

func (w *world) losing(i int) step {
	next := w.clone()
	next.flights[i] = attempt{}
	return step{name: fmt.Sprintf("lose %d", i), next: next}
}

func (w *world) abandoning(i int) step {
	next := w.clone()
	next.flights[i].abandoned = true
	return step{name: fmt.Sprintf("give up on %d", i), next: next}
}

// passTime ages everything by a tick. A request under way for longer than
// grace arrives no more: that is how late a straggler may be.
func (w *world) passTime() step {
	next := w.clone()
	s := &next.server
	for _, t := range []*time.Time{&s.ConfirmedAt, &s.ChildAt, &s.ChildSeenAt} {
		if !t.IsZero() {
			*t = t.Add(-tick)
		}
	}
	if b := next.backup; b != nil {
		for _, t := range []*time.Time{&b.ConfirmedAt, &b.ChildAt, &b.ChildSeenAt} {
			if !t.IsZero() {
				*t = t.Add(-tick)
			}
		}
	}
	next.childAt, next.seenAt = next.childAt+tick, next.seenAt+tick
	for i := range next.flights {
		f := &next.flights[i]
		if f.stage == sent {
			if f.sent += tick; f.sent > modelGrace {
				*f = attempt{}
			}
		}
	}
	return step{name: "tick", next: next}
}

// useStep shows the access token of the jar to a verifier that reports.
func (w *world) useStep(r rules) step {
	next := w.clone()
	r.saw(&next.server, next.jar.generation)
	next.ghostSaw()
	return step{name: "use", next: next}
}

func (w *world) ghostSaw() {
	if w.minted && !w.seen && w.jar.generation == w.server.Generation+1 {
		w.seen, w.seenAt = true, 0
	}
}

// forgetStep is a crash that takes the newest token from the client's storage
// although its access token was used: what is left is the confirmed one. Only a
// key makes that safe. Nothing is under way: a newer token that was sent before the
// crash may confirm itself, and what is left is then of the past.
func (w *world) forgetStep() step {
	next := w.clone()
	if w.jar.parent == w.server.Nonce && w.jar.generation == w.server.Generation+1 {
		next.jar = paper{refreshToken: refreshToken{generation: w.server.Generation, nonce: w.server.Nonce, parent: w.server.Parent}}
	}
	return step{name: "forget the newest token", next: next}
}

// storeSteps copy the store and put the copy back. A copy three generations
// behind is thrown away: all that is further behind is the same to the rules.
func (w *world) storeSteps() (out []step) {
	if w.backup == nil {
		next := w.clone()
		b := w.server.Rotation
		next.backup = &b
		return []step{{name: "back up", next: next}}
	}
	next := w.clone()
	next.server.Rotation, next.backup = *w.backup, nil
	next.minted, next.seen = false, false
	return []step{{name: "restore", next: next}}
}

// thiefSteps steal once, and then refresh with anything stolen or gained.
func (w *world) thiefSteps(r rules) (out []step) {
	if !w.stolen {
		next := w.clone()
		next.stolen, next.loot = true, []paper{w.jar}
		return []step{{name: "steal", next: next}}
	}
	for i, p := range w.loot {
		next := w.clone()
		v, child, problem := next.present(r, p, thief)
		name := fmt.Sprintf("thief presents %d: %v", i, v)
		if !v.grants() || len(w.loot) < 3 {
			if v.grants() {
				next.gain(child)
			}
			out = append(out, step{name, next, problem})
			continue
		}
		for j := range w.loot { // it forgets any of its tokens for the new one
			full := next.clone()
			full.loot = slices.Delete(full.loot, j, j+1)
			full.gain(child)
			out = append(out, step{name, full, problem})
		}
	}
	return out
}

// gain keeps the loot in order, so that states differ by what it is alone.
func (w *world) gain(p paper) {
	w.loot = append(w.loot, p)
	slices.SortFunc(w.loot, func(a, b paper) int {
		return cmp.Or(cmp.Compare(a.generation, b.generation), bytes.Compare(a.nonce[:], b.nonce[:]))
	})
}

// alive checks that the honest client, with nothing under way, gets tokens for
// what it holds: the session goes on.
func (w *world) alive(r rules) string {
	if w.stolen || w.flying() {
		return ""
	}
	c := w.clone()
	if v, _, _ := c.present(r, c.jar, client); !v.grants() {
		return fmt.Sprintf("P1: the client holds a token that is judged %v", v)
	}
	return ""
}

// resurrected presents everything anybody holds to an ended session.
func (w *world) resurrected(r rules) string {
	for _, p := range append(slices.Clone(w.loot), w.jar, w.flights[0].token, w.flights[1].token, w.flights[0].child, w.flights[1].child) {
		c := w.clone()
		if _, _, problem := c.present(r, p, client); problem != "" || c.server.EndedAt.IsZero() {
			return "an ended session lives again: " + problem
		}
	}
	return ""
}

// key tells states apart by what can make a difference: generations relative
// to the server's, nonces by order of appearance, times by age up to longAgo.
func (w *world) key() string {
	k := keyWriter{generation: w.server.Generation, oldest: 2}
	if w.backup != nil {
		k.oldest = 4 // a restored store may know older tokens
	}
	k.record(w.server.Rotation)
	k.flags(!w.server.EndedAt.IsZero(), w.minted, w.seen, w.stolen, w.doomed[client], w.doomed[thief], w.backup != nil)
	k.ticks(w.childAt)
	k.ticks(w.seenAt)
	k.hold(w.jar)
	for _, f := range w.flights {
		k.out = append(k.out, byte(f.stage))
		if f.stage != grounded {
			k.flags(f.abandoned, f.granted)
			k.ticks(f.sent)
			k.hold(f.token)
			k.hold(f.child)
		}
	}
	if w.backup != nil {
		k.record(*w.backup)
	}
	for _, p := range w.loot {
		k.hold(p)
	}
	return string(k.out)
}

type keyWriter struct {
	out        []byte
	generation uint32
	oldest     uint32  // tokens this many generations behind are replays, whatever else they are
	names      []Nonce // in order of appearance
}

func (k *keyWriter) nonce(n Nonce) {
	i := slices.Index(k.names, n)
	if i < 0 {
		i = len(k.names)
		k.names = append(k.names, n)
	}
	k.out = append(k.out, byte(i))
}

func (k *keyWriter) ticks(d time.Duration) { k.out = append(k.out, byte(min(d, longAgo)/tick)) }

func (k *keyWriter) age(t time.Time) {
	if t.IsZero() {
		k.out = append(k.out, 0xff)
		return
	}
	k.ticks(modelNow.Sub(t))
}

func (k *keyWriter) flags(flags ...bool) {
	var b byte
	for _, f := range flags {
		b <<= 1
		if f {
			b |= 1
		}
	}
	k.out = append(k.out, b)
}

func (k *keyWriter) record(r Rotation) {
	k.out = append(k.out, byte(r.Generation-k.generation))
	k.nonce(r.Nonce)
	k.nonce(r.Parent)
	k.age(r.ConfirmedAt)
	k.age(r.ChildAt)
	k.age(r.ChildSeenAt)
}

func (k *keyWriter) hold(p paper) {
	if p.generation+k.oldest <= k.generation {
		k.out = append(k.out, 0xfe)
		return
	}
	k.out = append(k.out, byte(p.generation-k.generation))
	k.flags(p.fresh)
	k.nonce(p.nonce)
	k.nonce(p.parent)
}

// explore visits every state, and returns how many there are and the way to
// the first one that breaks a promise.
func explore(r rules, withThief bool) (states int, problem string) {
	type visit struct {
		from int
		name string
	}
	first := newWorld()
	seen := map[string]bool{first.key(): true}
	queue, trail := []*world{first}, []visit{{-1, "log in"}}
	story := func(at int, last, problem string) string {
		lines := []string{last, "=> " + problem}
		for ; at >= 0; at = trail[at].from {
			lines = append([]string{trail[at].name}, lines...)
		}
		return strings.Join(lines, "\n")
	}
	for i := 0; i < len(queue); i++ {
		w := queue[i]
		queue[i] = nil
		if p := w.alive(r); p != "" {
			return len(seen), story(i, "refresh", p)
		}
		if !w.server.EndedAt.IsZero() {
			if p := w.resurrected(r); p != "" {
				return len(seen), story(i, "refresh", p)
			}
			continue // nothing changes any more
		}
		for _, s := range w.steps(r, withThief) {
			if s.problem != "" {
				return len(seen), story(i, s.name, s.problem)
			}
			if k := s.next.key(); !seen[k] {
				seen[k] = true
				queue, trail = append(queue, s.next), append(trail, visit{i, s.name})
			}
		}
	}
	return len(seen), ""
}

func TestModel(t *testing.T) {
	for _, tt := range []struct {
		name      string
		withThief bool
		rules     rules
	}{
		{"P1: nobody honest is logged out", false, realRules()},
		{"P2: no thief stays", true, realRules()},
		{"P1 with a key: not even one whose storage has lost the newest token", false, boundRules()},
		{"P2 with a key that the thief has copied", true, boundRules()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.rules.bound && testing.Short() {
				t.Skip("takes as long as the others")
			}
			states, problem := explore(tt.rules, tt.withThief)
			if problem != "" {
				t.Fatalf("after %d states:\n%s", states, problem)
			}
			t.Logf("%d states, all of them", states)
		})
	}
}

// TestModelOfBrokenRules breaks each rule in turn: the model must notice, or
// it proves nothing.
func TestModelOfBrokenRules(t *testing.T) {
	instead := func(r *rules, bad, taken verdict) {
		judge := r.judge
		r.judge = func(s *Session, t refreshToken) verdict {
			if v := judge(s, t); v != bad {
				return v
			}
			return taken
		}
	}
	after := func(r *rules, of verdict, change func(*Session, Rotation)) {
		apply := r.apply
		r.apply = func(s *Session, v verdict, t refreshToken) {
			was := s.Rotation
			if apply(s, v, t); v == of {
				change(s, was)
			}
		}
	}
	for _, tt := range []struct {
		promise string
		name    string
		corrupt func(*rules)
	}{
		{"P2", "children of one parent are alike", func(r *rules) { r.twins = true }},
		{"P1", "a repeated first refresh is a replay", func(r *rules) { instead(r, verdictRetry, verdictReplay) }},
		{"P1", "a lost response is a replay", func(r *rules) { instead(r, verdictRecover, verdictReplay) }},
		{"P1", "a straggler is a replay", func(r *rules) { instead(r, verdictSuperseded, verdictReplay) }},
		{"P2", "a straggler gets tokens", func(r *rules) { instead(r, verdictSuperseded, verdictRetry) }},
		{"P1", "a token ahead of the store is a replay", func(r *rules) { instead(r, verdictAhead, verdictReplay) }},
		{"P2", "a replay is forgiven", func(r *rules) { instead(r, verdictReplay, verdictSuperseded) }},
		{"P2", "a replay gets tokens", func(r *rules) { instead(r, verdictReplay, verdictRetry) }},
		{"P2", "an ended session is judged on", func(r *rules) {
			judge := r.judge
			r.judge = func(s *Session, t refreshToken) verdict {
				open := *s
				open.EndedAt = time.Time{}
				return judge(&open, t)
			}
		}},
		{"P2", "every retry slides the window", func(r *rules) {
			after(r, verdictRetry, func(s *Session, _ Rotation) { s.ChildAt = modelNow })
		}},
		{"P2", "every recovery opens the window again", func(r *rules) {
			after(r, verdictRecover, func(s *Session, _ Rotation) { s.ChildAt = modelNow })
		}},
		{"P2", "the first child does not open the window", func(r *rules) {
			after(r, verdictFirst, func(s *Session, _ Rotation) { s.ChildAt = time.Time{} })
		}},
		{"P2", "confirming forgets that a child is minted", func(r *rules) {
			after(r, verdictConfirm, func(s *Session, _ Rotation) { s.ChildAt = time.Time{} })
		}},
		{"P1", "confirming keeps the old sighting", func(r *rules) {
			after(r, verdictConfirm, func(s *Session, was Rotation) { s.ChildSeenAt = was.ChildSeenAt })
		}},
		{"P1", "confirming forgets the parent", func(r *rules) {
			after(r, verdictConfirm, func(s *Session, _ Rotation) { s.Parent = Nonce{} })
		}},
		{"P1", "confirming keeps the old moment", func(r *rules) {
			after(r, verdictConfirm, func(s *Session, was Rotation) { s.ConfirmedAt = was.ConfirmedAt })
		}},
		{"P2", "confirming does not move the record", func(r *rules) {
			after(r, verdictConfirm, func(s *Session, was Rotation) { s.Rotation = was })
		}},
		{"P1", "a sighting closes the window at once", func(r *rules) {
			judge := r.judge
			r.judge = func(s *Session, t refreshToken) verdict {
				if v := judge(s, t); v != verdictRecover || s.ChildSeenAt.IsZero() {
					return v
				}
				return verdictReplay
			}
		}},
		{"P2", "a sighting never closes the window", func(r *rules) { r.saw = func(*Session, uint32) {} }},
		{"P1", "any access token is a sighting", func(r *rules) {
			saw := r.saw
			r.saw = func(s *Session, _ uint32) { saw(s, s.Generation+1) }
		}},
		{"P2", "a straggler may be as late as it likes", func(r *rules) {
			judge := r.judge
			r.judge = func(s *Session, t refreshToken) verdict {
				if v := judge(s, t); v != verdictReplay || t.nonce != s.Parent {
					return v
				}
				return verdictSuperseded
			}
		}},
		{"P2", "a straggler is known by its generation alone", func(r *rules) {
			judge := r.judge
			r.judge = func(s *Session, t refreshToken) verdict {
				if v := judge(s, t); v != verdictReplay || t.generation+1 != s.Generation {
					return v
				}
				return verdictSuperseded
			}
		}},
		{"P2", "the confirmed token is known by its generation alone", func(r *rules) {
			judge := r.judge
			r.judge = func(s *Session, t refreshToken) verdict {
				if v := judge(s, t); v != verdictReplay || t.generation != s.Generation {
					return v
				}
				return verdictRetry
			}
		}},
		{"P2", "a replay does not end the session", func(r *rules) {
			after(r, verdictReplay, func(s *Session, _ Rotation) { s.EndedAt = time.Time{} })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			broken := realRules()
			tt.corrupt(&broken)
			states, problem := explore(broken, tt.promise == "P2")
			if problem == "" {
				t.Fatalf("the model noticed nothing in %d states", states)
			}
			t.Logf("noticed after %d states:\n%s", states, problem)
		})
	}
}
