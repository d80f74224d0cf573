//go:build fault

package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// chain is what of a session decides about the next refresh, as far as answers
// tell it: docs/rotation.md without the device, the expiries and what was seen of
// access tokens. It is not changed, a new one takes its place.
type chain struct {
	gen           uint32
	nonce, parent string
	// When it was confirmed, no better known than from when to when that took.
	confirmed window
	ended     bool

	since  time.Duration // from when at the latest it was so
	before *chain        // what it was before
}

func (c chain) same(d chain) bool {
	c.before, d.before = nil, nil
	return c == d
}

// step is one request as porcupine sees it, or a moment at which the store may
// have lost its latest refreshes.
type step struct {
	request
	loose bool // while two primaries may serve, one of which knows less
	loses bool
	back  time.Duration // not what was lost before that
}

// model is a session's sequential specification. With it, porcupine looks for an
// order of the requests, each between its call and its answer, in which every
// answer is the one that this specification gives. One without an answer may be
// anywhere after its call, so also last, where nobody sees what it did.
func model(first grant, losing bool) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{chain{gen: first.gen, nonce: first.nonce}} },
		Step: func(state, input, _ any) []any {
			var next []any
			for _, c := range after(state.(chain), input.(step), losing) {
				next = append(next, c)
			}
			return next
		},
		Equal: func(a, b any) bool { return a.(chain).same(b.(chain)) },
	}
	return m.ToModel()
}

// after lists what a session may be after a step; nothing says that the step's
// answer is wrong there.
func after(c chain, st step, losing bool) []chain {
	if !st.loose && !st.loses {
		return afterRequest(c, st.request, losing)
	}
	var all []chain
	for base := &c; base != nil; base = base.before {
		if st.loses {
			all = append(all, *base)
		} else {
			for _, next := range afterRequest(*base, st.request, losing) {
				next.before = &c // nothing is forgotten: it may be the other primary's turn again
				all = append(all, next)
			}
		}
		if base.since < st.back {
			break // what was before that was replaced in time
		}
	}
	return all
}

func afterRequest(c chain, r request, losing bool) []chain {
	a := r.answer
	if r.verb == ending {
		if c.ended {
			return []chain{c}
		}
		return only(end(c, r), a.status != 401)
	}
	switch t := r.given; {
	case c.ended:
		return only(c, a.open() || a.status == 401)
	case t.gen == c.gen+1 && t.parent == c.nonce, t.gen > c.gen && losing:
		next := chain{gen: t.gen, nonce: t.nonce, parent: t.parent, confirmed: window{r.call, r.ret}, since: r.done(), before: &c}
		return only(next, a.open() || a.status == 200)
	case t.gen == c.gen && t.nonce == c.nonce:
		return only(c, a.open() || a.status == 200)
	case t.gen+1 == c.gen && t.nonce == c.parent:
		return afterStraggler(c, r)
	case t.gen > c.gen:
		return nil // the store has lost a write, and must not
	}
	return only(end(c, r), a.open() || a.status == 401 && a.code == "refresh_token_reused")
}

// afterStraggler is for the token before the confirmed one: overtaken within the
// grace, stolen after it. At its edge either may be right.
func afterStraggler(c chain, r request) []chain {
	a := r.answer
	early := r.call <= c.confirmed.to+rotationGrace
	late := r.ret > c.confirmed.from+rotationGrace || a.open()
	var all []chain
	if early && (a.open() || a.status == 409) {
		all = append(all, c)
	}
	if late && (a.open() || a.status == 401 && a.code == "refresh_token_reused") {
		all = append(all, end(c, r))
	}
	return all
}

func only(c chain, legal bool) []chain {
	if legal {
		return []chain{c}
	}
	return nil
}

func end(c chain, r request) chain {
	was := c
	c.ended, c.since, c.before = true, r.done(), &was
	return c
}

// done is when a request was done at the latest: one that was not answered may be
// done at any time.
func (r request) done() time.Duration {
	if r.answer.open() {
		return forever
	}
	return r.ret
}

const forever = time.Duration(1) << 60

// linearizable checks a session's history. losing lists when the store may have
// lost refreshes.
func linearizable(first grant, history []request, losing []window) porcupine.CheckResult {
	var ops []porcupine.Operation
	for i, r := range fewer(history) {
		st := step{request: r}
		for _, w := range losing {
			if w.meets(r.call, r.ret) {
				st.loose, st.back = true, w.from
				break
			}
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: st, Call: int64(r.call), Return: int64(r.done())})
	}
	for _, w := range losing {
		ops = append(ops, porcupine.Operation{Input: step{loses: true, back: w.from}, Call: int64(w.to), Return: int64(w.to)})
	}
	return porcupine.CheckOperationsTimeout(model(first, len(losing) > 0), ops, time.Minute)
}

// fewer leaves out what the model does not know, and what cannot make a
// difference among the requests without an answer, of which an outage has many
// and each of which doubles the work. Of those with one token, one may confirm it
// and another may be a replay, whichever it is; of those that end the session one
// does.
func fewer(history []request) []request {
	const confirmAndReplay, end = 2, 1
	var kept []request
	open := map[string][]int{} // where they are in kept, by what they ask for
	for _, r := range history {
		if r.verb == asking {
			continue
		}
		if r.answer.open() {
			what, enough := r.given.nonce, confirmAndReplay
			if r.verb == ending {
				what, enough = "", end
			}
			at := open[what]
			for _, i := range at { // any of them may be this one
				kept[i].call, kept[i].ret = min(kept[i].call, r.call), max(kept[i].ret, r.ret)
			}
			if len(at) == enough {
				continue
			}
			for _, i := range at {
				r.call, r.ret = min(kept[i].call, r.call), max(kept[i].ret, r.ret)
			}
			open[what] = append(at, len(kept))
		}
		kept = append(kept, r)
	}
	return kept
}

// TestFaultModel shows that the model takes what may be and nothing else.
func TestFaultModel(t *testing.T) {
	t0 := grant{nonce: "a"}
	t1 := grant{gen: 1, nonce: "b", parent: "a"}
	t2 := grant{gen: 2, nonce: "c", parent: "b"}
	sibling := grant{gen: 1, nonce: "s", parent: "a"}
	at := func(call, ret time.Duration, given grant, status int) request {
		r := request{verb: refreshing, call: call * time.Second, ret: ret * time.Second, given: given, answer: reply{status: status}}
		if status == 401 {
			r.answer.code = "refresh_token_reused"
		}
		return r
	}
	logout := func(call, ret time.Duration, status int) request {
		return request{verb: ending, call: call * time.Second, ret: ret * time.Second, answer: reply{status: status}}
	}
	tests := []struct {
		name    string
		history []request
		losing  []window
		want    bool
	}{
		{"one after the other", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t2, 200)}, nil, true},
		{"the same token again, also after the grace", []request{at(1, 2, t0, 200), at(3, 4, t0, 200), at(90, 91, t0, 200)}, nil, true},
		{"the token before, soon", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t0, 409)}, nil, true},
		{"the token before, soon, and called a thief", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t0, 401)}, nil, false},
		{"the token before, late", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(50, 51, t0, 401), at(52, 53, t1, 401)}, nil, true},
		{"the token before, late, and called overtaken", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(50, 51, t0, 409)}, nil, false},
		{"the token before gets tokens", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t0, 200)}, nil, false},
		{"the token before gets tokens while it is overtaken", []request{at(1, 2, t0, 200), at(3, 6, t1, 200), at(4, 5, t0, 200)}, nil, true},
		{"overtaken before it was overtaken", []request{at(1, 2, t0, 409), at(3, 4, t0, 200), at(5, 6, t1, 200)}, nil, false},
		{"both children of a token go on", []request{at(1, 2, t0, 200), at(3, 6, t1, 200), at(3, 6, sibling, 200)}, nil, false},
		{"one child of a token goes on", []request{at(1, 2, t0, 200), at(3, 6, t1, 200), at(3, 6, sibling, 401)}, nil, true},
		{"an outage that did it", []request{at(1, 2, t0, 200), at(3, 4, t1, 503), at(5, 6, t0, 409), at(7, 8, t1, 200)}, nil, true},
		{"an outage that did nothing", []request{at(1, 2, t0, 200), at(3, 4, t1, 503), at(5, 6, t0, 200), at(7, 8, t1, 200)}, nil, true},
		{"an outage that did it and did not", []request{at(1, 2, t0, 200), at(3, 4, t1, 503), at(5, 6, t0, 409), at(7, 8, t0, 200)}, nil, false},
		{"a refresh after the end", []request{at(1, 2, t0, 200), logout(3, 4, 204), at(5, 6, t1, 200)}, nil, false},
		{"a refresh beside the end", []request{at(1, 2, t0, 200), logout(3, 6, 204), at(4, 5, t1, 200), at(7, 8, t2, 401)}, nil, true},
		{"an end that was not answered, and came later", []request{logout(1, 2, 503), at(3, 4, t0, 200), at(5, 6, t1, 401)}, nil, true},
		{"an end that was not answered, came and went", []request{logout(1, 2, 503), at(3, 4, t0, 401), at(5, 6, t0, 200)}, nil, false},
		{"refused for no reason", []request{at(1, 2, t0, 200), at(3, 4, t1, 401)}, nil, false},
		{"a store that lost a write", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t0, 200), at(7, 8, t2, 200)}, nil, false},
		{"a store that may lose a write", []request{at(1, 2, t0, 200), at(5, 6, t1, 200), at(8, 9, t0, 200), at(10, 11, t2, 200)}, []window{{4 * time.Second, 7 * time.Second}}, true},
		{"a store that loses more than it may", []request{at(1, 2, t0, 200), at(3, 4, t1, 200), at(5, 6, t2, 200), at(9, 10, t1, 200)}, []window{{7 * time.Second, 8 * time.Second}}, false},
		{"a store that loses a write later than it may", []request{at(1, 2, t0, 200), at(8, 9, t1, 200), at(10, 11, t0, 200)}, []window{{5 * time.Second, 7 * time.Second}}, false},
	}
	for _, tt := range tests {
		want := porcupine.Illegal
		if tt.want {
			want = porcupine.Ok
		}
		if got := linearizable(t0, slices.Clone(tt.history), tt.losing); got != want {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
}
