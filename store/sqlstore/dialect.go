package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// dialect is what the databases differ in. Everything else is one set of
// statements, written with `?` for a parameter.
type dialect struct {
	name  string // also its folder of migrations
	goose goose.Dialect

	numbered bool // parameters are $1, $2
	// ignore ends an insert that does nothing where the key is taken, of a table
	// with this column.
	ignore func(column string) string
	shares bool // writes share a transaction on one connection
	joins  bool // DELETE … IN (SELECT …) would read the whole table: it must be a join

	// confirm moves one session (SQLite), or all of a group. confirmed reads
	// what the group has moved, where confirm cannot return it.
	confirm, confirmed string
	confirmGroup       func(ctx context.Context, s *Store, group []*confirming) ([]moved, error)

	lock, unlock string // lets one process migrate at a time

	duplicate func(error) bool // a unique key is taken
	transient func(error) bool // nothing was done, and doing it again may well work
}

// text spells a statement of the common set in the dialect.
func (d *dialect) text(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// deleteIn deletes the rows whose key a query selects.
func (d *dialect) deleteIn(table, key, query string) string {
	if d.joins {
		return fmt.Sprintf("DELETE %[1]s FROM (%[3]s) AS gone JOIN %[1]s ON %[1]s.%[2]s = gone.%[2]s", table, key, query)
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s IN (%s)", table, key, query)
}

// updateIn updates the rows whose key a query selects.
func (d *dialect) updateIn(table, key, query, set string) string {
	if d.joins {
		return fmt.Sprintf("UPDATE (%[3]s) AS due JOIN %[1]s ON %[1]s.%[2]s = due.%[2]s SET %[4]s", table, key, query, set)
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s IN (%s)", table, set, key, query)
}
