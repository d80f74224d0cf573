package dpop

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Replayed remembers proofs, so that each is taken once. It has two generations:
// when the young one has lasted for as long as a proof is good, or is full, it
// becomes the old one. That bounds the memory without a list or a sweeper. A
// flood of good proofs, which only holders of bound tokens can make, shortens
// the memory and stops nobody else.
//
// It is this process's memory. Where several serve one API, a proof can be
// repeated at each of them, within its time and for the same request and token.
type Replayed struct {
	half int

	mu         sync.Mutex
	since      time.Time // when the young one began
	young, old map[[16]byte]struct{}
}

// NewReplayed remembers at most size proofs.
func NewReplayed(size int) *Replayed {
	return &Replayed{half: max(size/2, 1), young: map[[16]byte]struct{}{}}
}

// Before reports whether the proof was here before, and remembers it. A proof is
// good for window after it was first seen.
func (r *Replayed) Before(p Proof, now time.Time, window time.Duration) bool {
	// By key and id: somebody else's id is nobody's business.
	sum := sha256.Sum256([]byte(p.Thumbprint + "\x00" + p.ID))
	id := [16]byte(sum[:16])
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock that was set back ends the generation too.
	if age := now.Sub(r.since); age >= window || age < 0 || len(r.young) >= r.half {
		r.old, r.young = r.young, map[[16]byte]struct{}{}
		if age >= 2*window {
			r.old = nil
		}
		r.since = now
	}
	_, young := r.young[id]
	_, old := r.old[id]
	r.young[id] = struct{}{}
	return young || old
}
