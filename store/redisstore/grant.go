package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/bitjang/bitjang"
)

func (s *Store) grantKey(id bitjang.GrantID) string {
	return s.keys.grant(partOf(id[0])) + string(id[:])
}

// InsertGrant implements bitjang.GrantStore.
func (s *Store) InsertGrant(ctx context.Context, g bitjang.Grant) error {
	record, err := encodeGrant(&g)
	if err != nil {
		return err
	}
	life := max(0, millis(g.ExpiresAt)-millis(g.CreatedAt)) + s.retention.Milliseconds()
	_, err = s.runSafely(ctx, call{
		s.scripts.insertGrant,
		[]string{s.grantKey(g.ID), s.keys.grants(partOf(g.ID[0]))},
		[]string{record, decimal(life), string(g.ID[:]), decimal(millis(g.ExpiresAt))},
	})
	return unchangedIs(bitjang.ErrExists, err)
}

// ConsumeGrant implements bitjang.GrantStore.
func (s *Store) ConsumeGrant(ctx context.Context, id bitjang.GrantID, at time.Time) (bitjang.Grant, error) {
	m, err := s.runSafely(ctx, call{s.scripts.consumeGrant, []string{s.grantKey(id)}, []string{timeBytes(at)}})
	if err != nil {
		return bitjang.Grant{}, unchangedIs(bitjang.ErrNotFound, err)
	}
	record, err := m.ToString()
	if err != nil {
		return bitjang.Grant{}, s.outage(err)
	}
	g, err := decodeGrant(id, record)
	if err != nil {
		return bitjang.Grant{}, err
	}
	if !g.UsedAt.IsZero() {
		return g, bitjang.ErrConflict
	}
	g.UsedAt = at
	return g, nil
}

// DeleteGrants implements bitjang.GrantStore.
func (s *Store) DeleteGrants(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.delete(ctx, limit, func(part, limit int) call {
		return call{s.scripts.deleteGrants, []string{s.keys.grants(part)}, []string{decimal(millis(t)), strconv.Itoa(limit), s.keys.grant(part)}}
	})
}

// Spend implements bitjang.LimitStore.
func (s *Store) Spend(ctx context.Context, sp bitjang.Spending) (time.Time, bool, error) {
	part := partOf(bitjang.UserShard(sp.Key))
	m, err := s.run(ctx, call{
		s.scripts.spend,
		[]string{s.keys.limits(part)},
		[]string{sp.Key, decimal(millis(sp.Now)), decimal(sp.Cost.Milliseconds()), decimal(sp.Capacity.Milliseconds())},
	})
	if err != nil {
		return time.Time{}, false, err
	}
	n, err := m.AsIntSlice()
	if err != nil || len(n) != 2 {
		return time.Time{}, false, s.outage(errAnswer)
	}
	return timeOf(n[1]), n[0] == 1, nil
}

// DeleteLimits implements bitjang.LimitStore.
func (s *Store) DeleteLimits(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.delete(ctx, limit, func(part, limit int) call {
		return call{s.scripts.deleteLimits, []string{s.keys.limits(part)}, []string{decimal(millis(t)), strconv.Itoa(limit)}}
	})
}
