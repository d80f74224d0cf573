package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/bitjang/bitjang"
)

const grantColumns = `id, kind, user_id, data, created_at, expires_at, used_at`

func scanGrant(r row) (g bitjang.Grant, err error) {
	err = r.Scan(fixedCol{g.ID[:]}, &g.Kind, &g.UserID, &g.Data, timeCol{&g.CreatedAt}, timeCol{&g.ExpiresAt}, timeCol{&g.UsedAt})
	return g, err
}

// InsertGrant implements bitjang.GrantStore.
func (s *Store) InsertGrant(ctx context.Context, g bitjang.Grant) error {
	data := g.Data
	if data == nil {
		data = []byte{} // not NULL
	}
	return s.changeOne(ctx, s.stmts.insertGrant, bitjang.ErrExists,
		g.ID[:], g.Kind, g.UserID, data, millis(g.CreatedAt), millis(g.ExpiresAt), millis(g.UsedAt))
}

// ConsumeGrant implements bitjang.GrantStore.
func (s *Store) ConsumeGrant(ctx context.Context, id bitjang.GrantID, at time.Time) (bitjang.Grant, error) {
	type result struct {
		bitjang.Grant
		won bool
	}
	r, err := together(ctx, s, func(ctx context.Context, u unit) (r result, err error) {
		n, err := u.exec(ctx, s.stmts.consumeGrant, millis(at), id[:])
		if err != nil {
			return r, err
		}
		r.won = n == 1
		r.Grant, err = scanGrant(u.row(ctx, s.stmts.grant, id[:]))
		return r, notFound(err)
	})
	if err == nil && !r.won {
		err = bitjang.ErrConflict
	}
	return r.Grant, err
}

// DeleteGrants implements bitjang.GrantStore.
func (s *Store) DeleteGrants(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.change(ctx, s.stmts.deleteGrants, millis(t), limit)
}

// bucket is a limit as it stands after Spend.
type bucket struct {
	empty int64
	ok    bool
}

// Spend implements bitjang.LimitStore.
func (s *Store) Spend(ctx context.Context, sp bitjang.Spending) (time.Time, bool, error) {
	b, err := together(ctx, s, func(ctx context.Context, u unit) (bucket, error) { return s.spend(ctx, u, sp) })
	return time.UnixMilli(b.empty).UTC(), b.ok, err
}

// spend fills a bucket that is there, or else makes one, or else finds that
// somebody has just made it and fills that.
func (s *Store) spend(ctx context.Context, u unit, sp bitjang.Spending) (bucket, error) {
	now, cost, capacity := millis(sp.Now), sp.Cost.Milliseconds(), sp.Capacity.Milliseconds()
	for _, last := range []bool{false, true} {
		n, err := u.exec(ctx, s.stmts.spend, now, now, cost, sp.Key, now, now, now+capacity-cost)
		if err != nil {
			return bucket{}, err
		}
		if n == 1 || last || cost > capacity {
			return s.bucket(ctx, u, sp.Key, bucket{now, n == 1})
		}
		if n, err = u.exec(ctx, s.stmts.insertLimit, sp.Key, now+cost); err != nil || n == 1 {
			return bucket{now + cost, n == 1}, err
		}
	}
	panic("unreachable")
}

// bucket reads what is stored; b stands where nothing is.
func (s *Store) bucket(ctx context.Context, u unit, key string, b bucket) (bucket, error) {
	err := u.row(ctx, s.stmts.limit, key).Scan(&b.empty)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return b, err
}

// DeleteLimits implements bitjang.LimitStore.
func (s *Store) DeleteLimits(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.change(ctx, s.stmts.deleteLimits, millis(t), limit)
}
