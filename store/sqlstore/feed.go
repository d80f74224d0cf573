package sqlstore

import (
	"context"
	"strconv"
	"time"

	"github.com/bitjang/bitjang"
)

type entry struct {
	number int64
	bitjang.Revocation
}

func scanEntry(r row) (e entry, err error) {
	err = r.Scan(&e.number, fixedCol{e.SessionID[:]}, timeCol{&e.At}, &e.State, &e.Reason)
	return e, err
}

// Revocations implements bitjang.RevocationStore. The cursor is the number of
// the last entry read.
func (s *Store) Revocations(ctx context.Context, after string, limit int) ([]bitjang.Revocation, string, error) {
	var last int64
	if after != "" {
		var err error
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", bitjang.ErrCursor
		}
	}
	entries, err := all(ctx, s, s.stmts.revocations, scanEntry, last, limit)
	if err != nil {
		return nil, "", err
	}
	list := make([]bitjang.Revocation, len(entries))
	for i, e := range entries {
		list[i], last = e.Revocation, e.number
	}
	return list, strconv.FormatInt(last, 10), nil
}

// DeleteRevocations implements bitjang.RevocationStore.
func (s *Store) DeleteRevocations(ctx context.Context, t time.Time, limit int) (int, error) {
	return s.change(ctx, s.stmts.deleteRevocations, millis(t), limit)
}

// tell appends to the feed. Taking the turn holds its lock until the commit:
// were numbers visible out of order, a reader would go past one.
func (s *Store) tell(ctx context.Context, u unit, r *bitjang.Revocation) error {
	if _, err := u.exec(ctx, s.stmts.takeTurn); err != nil {
		return err
	}
	_, err := u.exec(ctx, s.stmts.tell, r.SessionID[:], millis(r.At), string(r.State), r.Reason)
	return err
}
