package bitjang

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The audit trail is a chain: each event is sealed together with the seal of the
// one before, by a key that only services have. Whoever writes to the database
// can change lines, but not so that VerifyAudit does not notice.
const (
	sealEvery = 5 * time.Second
	// sealAfter is how old an event is before it is sealed: by then every event
	// with a lower number has become visible, whichever node wrote it.
	sealAfter = 20 * time.Second
	// sealLate is how old an event may be without a seal before that is a fault.
	sealLate  = 10 * time.Minute
	sealBatch = 200
)

// auditSeal is what an event's Seal holds: which event it follows, and the MAC
// over that and the event.
type auditSeal struct {
	key    byte
	prevID int64
	prevAt int64 // Unix milliseconds; tells a predecessor that was too old to keep from one that is missing
	prev   [sha256.Size]byte
	mac    [sha256.Size]byte
}

const auditSealBytes = 1 + 8 + 8 + 2*sha256.Size

func (a *auditSeal) bytes() []byte {
	b := append(make([]byte, 0, auditSealBytes), a.key)
	b = binary.BigEndian.AppendUint64(b, uint64(a.prevID))
	b = binary.BigEndian.AppendUint64(b, uint64(a.prevAt))
	return append(append(b, a.prev[:]...), a.mac[:]...)
}

func readAuditSeal(b []byte) (a auditSeal, ok bool) {
	if len(b) != auditSealBytes {
		return a, false
	}
	a.key = b[0]
	a.prevID, a.prevAt = int64(binary.BigEndian.Uint64(b[1:])), int64(binary.BigEndian.Uint64(b[9:]))
	copy(a.prev[:], b[17:])
	copy(a.mac[:], b[17+sha256.Size:])
	return a, true
}

// macOf covers everything about an event and its place.
func (k *ringKey) macOf(a *auditSeal, e *Event) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, k.audit)
	number := func(n int64) { _ = binary.Write(h, binary.BigEndian, n) } // a hash takes everything
	number(a.prevID)
	number(a.prevAt)
	h.Write(a.prev[:])
	number(e.ID)
	number(e.At.UnixMilli())
	number(int64(e.Count))
	for _, text := range []string{string(e.Type), e.UserID, string(e.SessionID[:]), e.IP.String(), e.UserAgent, e.Reason, e.Detail} {
		number(int64(len(text)))
		h.Write([]byte(text))
	}
	h.Sum(mac[:0])
	return mac
}

// sealFor makes the seal of e, which follows last.
func (r *keyRing) sealFor(last, e *Event) []byte {
	key := &r.keys[0]
	a := auditSeal{key: key.id}
	if before, ok := readAuditSeal(last.Seal); ok {
		a.prevID, a.prevAt, a.prev = last.ID, last.At.UnixMilli(), before.mac
	}
	a.mac = key.macOf(&a, e)
	return a.bytes()
}

// genuineSeal says whether a seal was made for this event by a key of the ring.
func (r *keyRing) genuineSeal(a *auditSeal, e *Event) bool {
	for i := range r.keys {
		if k := &r.keys[i]; k.id == a.key {
			if mac := k.macOf(a, e); hmac.Equal(mac[:], a.mac[:]) {
				return true
			}
		}
	}
	return false
}

// runSeal seals until ctx ends. Any number of nodes may: an event takes one seal,
// and whoever finds that another one was faster begins again behind it.
func (s *Service) runSeal(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.sealEvents(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("audit trail not sealed", "error", err)
			}
		}
	}
}

// sealEvents seals what is old enough.
func (s *Service) sealEvents(ctx context.Context) error {
	until := s.clock().Add(-sealAfter)
	last, err := s.events.LastSealed(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return outage("read the last seal", err)
	}
	for {
		list, err := s.events.EventsAfter(ctx, last.ID, sealBatch)
		if err != nil {
			return outage("read events", err)
		}
		for i := range list {
			e := &list[i]
			if e.At.After(until) {
				return nil
			}
			e.Seal = s.ring.sealFor(&last, e)
			err := s.events.SealEvent(ctx, e.ID, e.Seal)
			if errors.Is(err, ErrConflict) {
				return nil // another node is at it
			} else if err != nil {
				return outage("seal event", err)
			}
			last = *e
		}
		if len(list) < sealBatch {
			return nil
		}
	}
}

// AuditReport is what VerifyAudit found.
type AuditReport struct {
	Events   int    // that were read
	Sealed   int    // of them
	Fresh    int    // not sealed yet, because they are new
	Removed  int    // places where older events were removed by age
	Head     string // the last seal, as NUMBER:HEX: kept elsewhere, it shows later that nothing was cut off the end
	Problems []AuditProblem
}

// AuditProblem is something that is wrong at an event.
type AuditProblem struct {
	ID   int64
	What string // "changed", "missing before", "not sealed", "cut off"
}

// maxAuditProblems bounds a report: a trail that is wrong everywhere says so once.
const maxAuditProblems = 100

// VerifyAudit reads the whole trail and says where it was changed, where lines
// are missing and where some were put in. head, the Head of an earlier report or
// "", must still be in it.
func (s *Service) VerifyAudit(ctx context.Context, head string) (AuditReport, error) {
	var r AuditReport
	var last Event
	headID, headSeen := int64(0), head == ""
	if _, err := fmt.Sscanf(head, "%d:", &headID); head != "" && err != nil {
		return r, invalid("head_invalid", "A head is NUMBER:HEX, as an earlier report printed it.")
	}
	now := s.clock()
	for after := int64(0); ; {
		list, err := s.events.EventsAfter(ctx, after, sealBatch)
		if err != nil {
			return r, outage("read events", err)
		}
		for i := range list {
			s.verifyEvent(&r, &last, &list[i], now)
			headSeen = headSeen || r.Head == head
			after = list[i].ID
		}
		if len(list) < sealBatch {
			break
		}
	}
	if !headSeen && !now.Add(-s.cfg.EventRetention).After(last.At) {
		r.problem(headID, "cut off")
	}
	return r, nil
}

func (s *Service) verifyEvent(r *AuditReport, last, e *Event, now time.Time) {
	r.Events++
	seal, sealed := readAuditSeal(e.Seal)
	before, _ := readAuditSeal(last.Seal)
	switch {
	case !sealed && len(e.Seal) == 0 && now.Sub(e.At) < sealLate:
		r.Fresh++
		return
	case !sealed:
		r.problem(e.ID, "not sealed")
		return
	case !s.ring.genuineSeal(&seal, e):
		r.problem(e.ID, "changed")
	case seal.prevID == last.ID && bytes.Equal(seal.prev[:], before.mac[:]):
	case seal.prevID > 0 && time.UnixMilli(seal.prevAt).Before(now.Add(-s.cfg.EventRetention)):
		r.Removed++
	default:
		r.problem(e.ID, "missing before")
	}
	r.Sealed++
	r.Head = fmt.Sprintf("%d:%x", e.ID, seal.mac[:8])
	*last = *e
}

func (r *AuditReport) problem(id int64, what string) {
	if len(r.Problems) < maxAuditProblems {
		r.Problems = append(r.Problems, AuditProblem{id, what})
	}
}

// EventsFrom lists everybody's events in the order of their numbers, after the
// given one: for the operator's export.
func (s *Service) EventsFrom(ctx context.Context, after int64) ([]Event, error) {
	list, err := s.events.EventsAfter(ctx, after, maxPage)
	if err != nil {
		return nil, outage("list events", err)
	}
	return list, nil
}
