package sqlstore

import (
	"context"

	"github.com/bitjang/bitjang"
)

const factorColumns = `id, user_id, kind, name, sealed, counter, created_at, used_at, version`

func scanFactor(r row) (f bitjang.Factor, err error) {
	err = r.Scan(&f.ID, &f.UserID, &f.Kind, &f.Name, &f.Sealed, &f.Counter, timeCol{&f.CreatedAt}, timeCol{&f.UsedAt}, &f.Version)
	return f, err
}

// InsertFactor implements bitjang.FactorStore.
func (s *Store) InsertFactor(ctx context.Context, f bitjang.Factor) error {
	return s.changeOne(ctx, s.stmts.insertFactor, bitjang.ErrExists,
		f.ID, f.UserID, string(f.Kind), f.Name, f.Sealed, f.Counter, millis(f.CreatedAt), millis(f.UsedAt), f.Version)
}

// Factors implements bitjang.FactorStore.
func (s *Store) Factors(ctx context.Context, userID string) ([]bitjang.Factor, error) {
	return all(ctx, s, s.stmts.factors, scanFactor, userID)
}

// UpdateFactor implements bitjang.FactorStore.
func (s *Store) UpdateFactor(ctx context.Context, f bitjang.Factor) error {
	return s.changeOne(ctx, s.stmts.updateFactor, bitjang.ErrConflict, f.Name, f.Sealed, f.Counter, millis(f.UsedAt), f.ID, f.Version)
}

// DeleteFactor implements bitjang.FactorStore.
func (s *Store) DeleteFactor(ctx context.Context, userID, id string) error {
	return s.changeOne(ctx, s.stmts.deleteFactor, bitjang.ErrNotFound, userID, id)
}
