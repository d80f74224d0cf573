//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/bitjang/bitjang"
)

// crowd is a great number of sessions in a store, of which we remember only what
// a refresh token is made from.
type crowd struct {
	minter *minter
	now    time.Time
	known  []ticket
}

// ticket is what a session's first refresh token is made from.
type ticket struct {
	id    bitjang.SessionID
	nonce bitjang.Nonce
}

func newCrowd(m *minter, n int) *crowd {
	return &crowd{minter: m, now: thisMillisecond(), known: make([]ticket, n)}
}

// userOf gives users one to five sessions, in turn.
func userOf(session int) string {
	user, rest := session/15*5, session%15
	for devices := 1; rest >= devices; devices++ {
		user, rest = user+1, rest-devices
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(user)))
	return bitjang.SessionID(sum[:16]).String() // a UUID, as users have
}

// live makes session i. Its idle expiry is some time off, as in real life they
// all differ.
func (c *crowd) live(i int) bitjang.Session {
	s := newSession(c.now, userOf(i))
	s.IdleExpiresAt = c.now.Add(24*time.Hour + time.Duration(rand.Int64N(312*3600_000))*time.Millisecond)
	c.known[i] = ticket{s.ID, s.Nonce}
	return s
}

// longDead makes the i-th of the expired sessions, dead for longer than the
// service keeps any. Each died a millisecond after the one before it.
func (c *crowd) longDead(i int) bitjang.Session {
	s := newSession(c.now, userOf(i))
	s.IdleExpiresAt = c.firstDeath().Add(time.Duration(i) * time.Millisecond)
	s.LastSeenAt = s.IdleExpiresAt.Add(-336 * time.Hour)
	s.ConfirmedAt, s.ChildAt, s.CreatedAt, s.AuthTime = s.LastSeenAt, s.LastSeenAt, s.LastSeenAt, s.LastSeenAt
	s.ExpiresAt = s.LastSeenAt.Add(2160 * time.Hour)
	return s
}

func (c *crowd) firstDeath() time.Time { return c.now.Add(-100 * 24 * time.Hour) }

// visitor is a caller that refreshes random sessions of its share of a crowd.
type visitor struct {
	caller
	crowd  *crowd
	first  int // its share are this one and every stride-th after it
	stride int
	newest map[int]string // tokens of those that it has refreshed
}

func (c *crowd) visitors(address string, n int) []*visitor {
	var list []*visitor
	for i := range n {
		list = append(list, &visitor{caller{address: address}, c, i, n, map[int]string{}})
	}
	return list
}

// refreshAny refreshes a random session.
func (v *visitor) refreshAny() error {
	i := v.first + v.stride*rand.IntN((len(v.crowd.known)-v.first+v.stride-1)/v.stride)
	token, ok := v.newest[i]
	if !ok {
		t := v.crowd.known[i]
		token = v.crowd.minter.token(t.id, usualGeneration, t.nonce)
	}
	_, next, err := v.exchange(token)
	if err == nil {
		v.newest[i] = next
	}
	return err
}
