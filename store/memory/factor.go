package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/bitjang/bitjang"
)

func cloneFactor(f bitjang.Factor) bitjang.Factor {
	f.Sealed = bytes.Clone(f.Sealed)
	return f
}

// InsertFactor implements bitjang.FactorStore.
func (s *Store) InsertFactor(ctx context.Context, f bitjang.Factor) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, taken := s.factors[f.ID]; taken {
		return bitjang.ErrExists
	}
	s.factors[f.ID] = cloneFactor(f)
	return nil
}

// Factors implements bitjang.FactorStore.
func (s *Store) Factors(ctx context.Context, userID string) ([]bitjang.Factor, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []bitjang.Factor
	for _, f := range s.factors {
		if f.UserID == userID {
			list = append(list, cloneFactor(f))
		}
	}
	slices.SortFunc(list, func(a, b bitjang.Factor) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// UpdateFactor implements bitjang.FactorStore.
func (s *Store) UpdateFactor(ctx context.Context, f bitjang.Factor) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	stored, ok := s.factors[f.ID]
	if !ok || stored.Version != f.Version {
		return bitjang.ErrConflict
	}
	stored.Name, stored.Sealed, stored.Counter, stored.UsedAt = f.Name, bytes.Clone(f.Sealed), f.Counter, f.UsedAt
	stored.Version++
	s.factors[f.ID] = stored
	return nil
}

// DeleteFactor implements bitjang.FactorStore.
func (s *Store) DeleteFactor(ctx context.Context, userID, id string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if f, ok := s.factors[id]; !ok || f.UserID != userID {
		return bitjang.ErrNotFound
	}
	delete(s.factors, id)
	return nil
}
