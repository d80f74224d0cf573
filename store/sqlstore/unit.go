package sqlstore

import (
	"context"
	"database/sql"
)

// unit is a transaction as its statements see it. Without one they run by
// themselves, or on SQLite on the connection that is in a shared one.
type unit struct{ tx *sql.Tx }

func (u unit) stmt(ctx context.Context, stmt *sql.Stmt) *sql.Stmt {
	if u.tx == nil {
		return stmt
	}
	return u.tx.StmtContext(ctx, stmt)
}

func (u unit) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (int, error) {
	return affected(u.stmt(ctx, stmt).ExecContext(ctx, args...))
}

func (u unit) row(ctx context.Context, stmt *sql.Stmt, args ...any) *sql.Row {
	return u.stmt(ctx, stmt).QueryRowContext(ctx, args...)
}

// single runs one statement, durably.
func single[T any](ctx context.Context, s *Store, fn func(context.Context, unit) (T, error)) (T, error) {
	return run(ctx, s, false, fn)
}

// together runs several statements that stand or fall together, durably.
func together[T any](ctx context.Context, s *Store, fn func(context.Context, unit) (T, error)) (T, error) {
	return run(ctx, s, true, fn)
}

// run gives up when ctx ends. What fn returned is not read then: on SQLite it
// may still be at work.
func run[T any](ctx context.Context, s *Store, several bool, fn func(context.Context, unit) (T, error)) (T, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	var result, none T
	work := func(ctx context.Context, u unit) (err error) {
		result, err = fn(ctx, u)
		return err
	}
	var err error
	switch {
	case s.queue != nil:
		err = s.queue.do(ctx, sqliteWrite{work, several})
	case several:
		err = s.again(ctx, func() error { return s.transaction(ctx, work) })
	default:
		err = s.again(ctx, func() error { return work(ctx, unit{}) })
	}
	if err != nil {
		return none, err
	}
	return result, nil
}

func (s *Store) transaction(ctx context.Context, work func(context.Context, unit) error) error {
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to undo once committed
	if err := work(ctx, unit{tx}); err != nil {
		return err
	}
	return tx.Commit()
}

// changeOne runs a statement that changes one row; none answers otherwise.
func (s *Store) changeOne(ctx context.Context, stmt *sql.Stmt, otherwise error, args ...any) error {
	n, err := single(ctx, s, func(ctx context.Context, u unit) (int, error) { return u.exec(ctx, stmt, args...) })
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// change runs a statement and returns how many rows it changed.
func (s *Store) change(ctx context.Context, stmt *sql.Stmt, args ...any) (int, error) {
	return single(ctx, s, func(ctx context.Context, u unit) (int, error) { return u.exec(ctx, stmt, args...) })
}

func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// one reads one row; ErrNotFound if there is none.
func one[T any](ctx context.Context, s *Store, stmt *sql.Stmt, scan func(row) (T, error), args ...any) (T, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	v, err := scan(stmt.QueryRowContext(ctx, args...))
	return v, notFound(err)
}

// all reads all rows of a query.
func all[T any](ctx context.Context, s *Store, stmt *sql.Stmt, scan func(row) (T, error), args ...any) ([]T, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := stmt.QueryContext(ctx, args...)
	return collect(rows, err, scan)
}

// collect reads all rows. It takes the error of the query along, so that a
// listing is one line at its caller.
func collect[T any](rows *sql.Rows, err error, scan func(row) (T, error)) (out []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
