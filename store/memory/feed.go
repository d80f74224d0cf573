package memory

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/bitjang/bitjang"
)

// numbered is an entry of the feed; its number never comes again.
type numbered struct {
	number int64
	bitjang.Revocation
}

func (s *Store) tell(r bitjang.Revocation) {
	s.lastRevocation++
	s.revocations = append(s.revocations, numbered{s.lastRevocation, r})
}

// Revocations implements bitjang.RevocationStore.
func (s *Store) Revocations(ctx context.Context, after string, limit int) ([]bitjang.Revocation, string, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	var last int64
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", bitjang.ErrCursor
		}
	}
	var list []bitjang.Revocation
	for _, r := range s.revocations {
		if r.number > last && len(list) < limit {
			list, last = append(list, r.Revocation), r.number
		}
	}
	return list, strconv.FormatInt(last, 10), nil
}

// DeleteRevocations implements bitjang.RevocationStore.
func (s *Store) DeleteRevocations(ctx context.Context, t time.Time, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n := 0
	s.revocations = slices.DeleteFunc(s.revocations, func(r numbered) bool {
		return deleteOld(&n, limit, r.At, t)
	})
	return n, nil
}

// deleteOld says whether to delete something of that age, and counts.
func deleteOld(n *int, limit int, at, before time.Time) bool {
	old := at.Before(before) && *n < limit
	if old {
		*n++
	}
	return old
}

// EverySession implements bitjang.SessionStore.
func (s *Store) EverySession(ctx context.Context, after string, limit int) ([]bitjang.Session, string, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	last, err := hex.DecodeString(after)
	if err != nil {
		return nil, "", bitjang.ErrCursor
	}
	var list []bitjang.Session
	for _, sess := range s.sessions {
		if bytes.Compare(sess.ID[:], last) > 0 {
			list = append(list, cloneSession(sess))
		}
	}
	slices.SortFunc(list, func(a, b bitjang.Session) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if len(list) < limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, hex.EncodeToString(list[limit-1].ID[:]), nil
}

// InsertGrant implements bitjang.GrantStore.
func (s *Store) InsertGrant(ctx context.Context, g bitjang.Grant) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.grants[g.ID]; taken {
		return bitjang.ErrExists
	}
	g.Data = slices.Clone(g.Data)
	s.grants[g.ID] = g
	return nil
}

// ConsumeGrant implements bitjang.GrantStore.
func (s *Store) ConsumeGrant(ctx context.Context, id bitjang.GrantID, at time.Time) (bitjang.Grant, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return bitjang.Grant{}, err
	}
	defer leave()
	g, ok := s.grants[id]
	if !ok {
		return bitjang.Grant{}, bitjang.ErrNotFound
	}
	if g.UsedAt.IsZero() {
		g.UsedAt = at
		s.grants[id] = g
	} else {
		err = bitjang.ErrConflict
	}
	g.Data = slices.Clone(g.Data)
	return g, err
}

// DeleteGrants implements bitjang.GrantStore.
func (s *Store) DeleteGrants(ctx context.Context, t time.Time, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n := 0
	for id, g := range s.grants {
		if deleteOld(&n, limit, g.ExpiresAt, t) {
			delete(s.grants, id)
		}
	}
	return n, nil
}

// Spend implements bitjang.LimitStore.
func (s *Store) Spend(ctx context.Context, sp bitjang.Spending) (time.Time, bool, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	defer leave()
	stored, known := s.limits[sp.Key]
	empty := sp.Now
	if stored.After(empty) {
		empty = stored
	}
	if empty.Add(sp.Cost).After(sp.Now.Add(sp.Capacity)) {
		if known {
			return stored, false, nil
		}
		return sp.Now, false, nil
	}
	empty = empty.Add(sp.Cost)
	s.limits[sp.Key] = empty
	return empty, true, nil
}

// DeleteLimits implements bitjang.LimitStore.
func (s *Store) DeleteLimits(ctx context.Context, t time.Time, limit int) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	n := 0
	for key, empty := range s.limits {
		if deleteOld(&n, limit, empty, t) {
			delete(s.limits, key)
		}
	}
	return n, nil
}
