package storetest

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bitjang/bitjang"
)

// confirmation fits s.
func confirmation(s bitjang.Session) bitjang.Confirmation {
	c := bitjang.Confirmation{ID: s.ID, Generation: s.Generation + 1, Parent: s.Nonce, Now: epoch.Add(time.Minute), IdleExpiresAt: epoch.Add(2 * time.Hour)}
	rand.Read(c.Nonce[:])
	return c
}

// confirmed is what s becomes by c.
func confirmed(s bitjang.Session, c bitjang.Confirmation) bitjang.Session {
	s.Rotation = bitjang.Rotation{Generation: c.Generation, Nonce: c.Nonce, Parent: c.Parent, ConfirmedAt: c.Now, ChildAt: c.Now}
	s.LastSeenAt, s.IdleExpiresAt = c.Now, c.IdleExpiresAt
	s.Version++
	return s
}

func confirmMoves(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	bystander := insert(t, st, randomSession("u"))
	c := confirmation(s)
	got, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	want := confirmed(s, c)
	want.SeenBeforeAt = s.LastSeenAt
	equal(t, got, want)
	holds(t, st, confirmed(s, c))
	again := confirmation(confirmed(s, c))
	again.Now = c.Now.Add(time.Hour)
	got, err = st.ConfirmSession(t.Context(), again)
	ok(t, err)
	want = confirmed(confirmed(s, c), again)
	want.SeenBeforeAt = c.Now
	equal(t, got, want)
	holds(t, st, confirmed(confirmed(s, c), again))
	holds(t, st, bystander)
}

func confirmRefused(t *testing.T, st sessionStore) {
	for name, spoil := range map[string]func(*bitjang.Session, *bitjang.Confirmation){
		"generation ahead":                    func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Generation++ },
		"generation behind":                   func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Generation-- },
		"another parent":                      func(_ *bitjang.Session, c *bitjang.Confirmation) { c.Parent[7]++ },
		"ended":                               func(s *bitjang.Session, _ *bitjang.Confirmation) { s.EndedAt = epoch },
		"held":                                func(s *bitjang.Session, _ *bitjang.Confirmation) { s.HeldAt = epoch },
		"bound to a key":                      func(s *bitjang.Session, _ *bitjang.Confirmation) { s.KeyThumbprint = keyThumbprint },
		"idle for too long":                   func(s *bitjang.Session, c *bitjang.Confirmation) { s.IdleExpiresAt = c.Now.Add(-time.Second) },
		"idle expiry at this very moment":     func(s *bitjang.Session, c *bitjang.Confirmation) { s.IdleExpiresAt = c.Now },
		"too old":                             func(s *bitjang.Session, c *bitjang.Confirmation) { s.ExpiresAt = c.Now.Add(-time.Second) },
		"absolute expiry at this very moment": func(s *bitjang.Session, c *bitjang.Confirmation) { s.ExpiresAt = c.Now },
		"generation beyond the largest":       func(s *bitjang.Session, c *bitjang.Confirmation) { s.Generation, c.Generation = 1<<32-1, 0 },
		"generation zero":                     func(s *bitjang.Session, c *bitjang.Confirmation) { s.Generation, c.Generation = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := randomSession("u")
			c := confirmation(s)
			spoil(&s, &c)
			insert(t, st, s)
			_, err := st.ConfirmSession(t.Context(), c)
			is(t, err, bitjang.ErrConflict)
			holds(t, st, s)
		})
	}
}

func confirmMissing(t *testing.T, st sessionStore) {
	_, err := st.ConfirmSession(t.Context(), confirmation(randomSession("u")))
	is(t, err, bitjang.ErrConflict)
}

// confirmOneWinner has others confirm sessions of their own at the same time,
// so that a store which gathers what is waiting gathers rivals too.
func confirmOneWinner(t *testing.T, st sessionStore) {
	s := insert(t, st, randomSession("u"))
	const rivals, bystanders = 32, 96
	others := make([]bitjang.Session, bystanders)
	for i := range others {
		others[i] = insert(t, st, randomSession(fmt.Sprint("user ", i)))
	}
	for round := range 8 {
		var winner atomic.Pointer[bitjang.Session]
		wins := race(t, rivals+bystanders, func(i int) error {
			if i >= rivals {
				got, err := st.ConfirmSession(t.Context(), confirmation(others[i-rivals]))
				if err != nil {
					t.Errorf("a bystander: got %v, want success", err)
				}
				others[i-rivals] = got
				return bitjang.ErrConflict // not counted
			}
			got, err := st.ConfirmSession(t.Context(), confirmation(s))
			if err == nil {
				winner.Store(&got)
			}
			return err
		})
		if wins != 1 {
			t.Fatalf("round %d: got %d winners, want 1", round, wins)
		}
		s = *winner.Load()
		s.SeenBeforeAt = time.Time{}
		holds(t, st, s)
	}
}

func confirmAgainstUpdate(t *testing.T, st sessionStore) {
	for range 16 {
		s := insert(t, st, randomSession("u"))
		var updated atomic.Bool
		wins := race(t, 2, func(i int) error {
			if i == 0 {
				_, err := st.ConfirmSession(t.Context(), confirmation(s))
				return err
			}
			ended := s
			ended.EndedAt, ended.EndReason = epoch, bitjang.EndedByLogout
			err := st.UpdateSession(t.Context(), ended, nil)
			updated.Store(err == nil)
			return err
		})
		got, err := st.Session(t.Context(), s.ID)
		ok(t, err)
		if wins != 1 || got.Version != 2 || updated.Load() == got.EndedAt.IsZero() {
			t.Fatalf("got %d winners and version %d, want one winner and its state", wins, got.Version)
		}
	}
}

func confirmExtremes(t *testing.T, st sessionStore) {
	s := randomSession("u")
	s.Generation = 1<<32 - 2
	s.Nonce = bitjang.Nonce{}
	insert(t, st, s)
	c := confirmation(s)
	c.Nonce = bitjang.Nonce{0xff, 0, 0xff, 0, 0xff, 0, 0xff, '\''}
	got, err := st.ConfirmSession(t.Context(), c)
	ok(t, err)
	want := confirmed(s, c)
	want.SeenBeforeAt = s.LastSeenAt
	equal(t, got, want)
	holds(t, st, confirmed(s, c))
}
