//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
)

// pattern is a row that the store has written, from which rows of other sessions
// are made: so that bulk loading knows a few columns only and the others are as
// the store writes them.
type pattern struct {
	columns []string
	values  []any
	at      map[string]int
}

func newPattern(columns []string, values []any) pattern {
	p := pattern{columns, values, map[string]int{}}
	for i, c := range columns {
		p.at[c] = i
	}
	return p
}

// readPattern reads any row. Driver's own types go back in as they came.
func readPattern(ctx context.Context, db *sql.DB) (pattern, error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM sessions LIMIT 1")
	if err != nil {
		return pattern{}, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return pattern{}, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if !rows.Next() {
		return pattern{}, fmt.Errorf("there is no row to follow: %w", rows.Err())
	}
	return newPattern(columns, values), rows.Scan(into...)
}

// row is the row of a session.
func (p pattern) row(s bitjang.Session) []any {
	row := slices.Clone(p.values)
	row[p.at["id"]], row[p.at["user_id"]] = s.ID[:], s.UserID
	row[p.at["nonce"]], row[p.at["parent"]] = s.Nonce[:], s.Parent[:]
	row[p.at["idle_expires_at"]], row[p.at["expires_at"]] = s.IdleExpiresAt.UnixMilli(), s.ExpiresAt.UnixMilli()
	row[p.at["sweep_at"]] = s.DeadSince().UnixMilli()
	return row
}

// statement inserts so many rows at once.
func (p pattern) statement(rows int) string {
	one := "(?" + strings.Repeat(", ?", len(p.columns)-1) + ")"
	return "INSERT INTO sessions (" + strings.Join(p.columns, ", ") + ") VALUES " + one + strings.Repeat(", "+one, rows-1)
}

// insertAll adds n sessions by statements of so many rows each, some statements
// to a transaction.
func (p pattern) insertAll(ctx context.Context, db *sql.DB, n, rows, statements int, session func(i int) bitjang.Session) error {
	whole, err := db.PrepareContext(ctx, p.statement(rows))
	if err != nil {
		return err
	}
	defer whole.Close()
	for done := 0; done < n; {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for range statements {
			step := min(rows, n-done)
			if step == 0 {
				break
			}
			args := make([]any, 0, step*len(p.columns))
			for i := range step {
				args = append(args, p.row(session(done+i))...)
			}
			if step == rows {
				_, err = tx.StmtContext(ctx, whole).ExecContext(ctx, args...)
			} else {
				_, err = tx.ExecContext(ctx, p.statement(step), args...)
			}
			if err != nil {
				return errors.Join(err, tx.Rollback())
			}
			done += step
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// dyingAfter counts sessions whose times are a millisecond apart, from the
// oldest one that is left: counting rows would disturb what is measured.
func dyingAfter(oldest int64, first, t time.Time) int {
	if oldest == 0 { // there are none at all
		return 0
	}
	return int(max(0, t.UnixMilli()-max(oldest, first.UnixMilli())))
}
