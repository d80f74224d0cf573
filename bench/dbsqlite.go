//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// sqlite has no server: Bitjang's process does its work. Store and bare loop
// have files of their own, as a file has one writer.
type sqlite struct{ dir string }

func (d *sqlite) start(context.Context) error { return os.MkdirAll(d.dir, 0o700) }
func (d *sqlite) close() error                { return nil }
func (d *sqlite) pid() int                    { return 0 }
func (d *sqlite) file(name string) string     { return filepath.Join(d.dir, name+".db") }

func (d *sqlite) settings() []string { return []string{"BITJANG_DATABASE=sqlite:" + d.file("bitjang")} }

// sqliteDurable are the store's settings of durability.
const sqliteDurable = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

func (d *sqlite) connect(name, pragmas string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+d.file(name)+pragmas)
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func (d *sqlite) version(ctx context.Context) (string, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer db.Close()
	var text string
	err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&text)
	return "SQLite " + text, err
}

func (d *sqlite) open(ctx context.Context, bitjangs bool) (sessionStore, error) {
	name := "alone"
	if bitjangs {
		name = "bitjang"
	}
	return sqlstore.Open(ctx, "sqlite:"+d.file(name))
}

func (d *sqlite) rows(ctx context.Context) (total int, err error) {
	db, err := d.connect("bitjang", "?_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var tables string
	if err := db.QueryRowContext(ctx, "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'").Scan(&tables); err != nil {
		return 0, err
	}
	for name := range strings.SplitSeq(tables, ",") {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+name).Scan(&n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// logged is what Bitjang's process sent to the disk: the log, and the pages that
// checkpoints take from it. The log itself is a file that is written over.
func (d *sqlite) logged(_ context.Context, bitjang int) (logged, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", bitjang))
	if err != nil {
		return logged{}, err
	}
	n, err := infoNumber(string(raw), "write_bytes")
	return logged{bytes: n}, err
}

// sqliteBare is sqlstore's statement.
const sqliteBare = `UPDATE sessions SET generation = ?1, nonce = ?2, parent = ?3, confirmed_at = ?4, child_at = ?4, child_seen_at = 0,
	last_seen_at = ?4, idle_expires_at = ?5, version = version + 1
	WHERE id = ?6 AND generation = ?1 - 1 AND nonce = ?3 AND ended_at = 0 AND held_at = 0 AND idle_expires_at > ?4 AND expires_at > ?4
	RETURNING id, user_id, created_at, client_id, version, expires_at, auth_time, amr, acr, scope, roles, device_id, device_name, user_agent, client_hints, ip`

type sqliteLoop struct {
	db   *sql.DB
	stmt *sql.Stmt
}

// bare makes a file that is like the store's, and gives it rows of its own.
func (d *sqlite) bare(ctx context.Context, sessions []bitjang.Session) (bareLoop, error) {
	store, err := sqlstore.Open(ctx, "sqlite:"+d.file("bare"))
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		err = errors.Join(err, store.InsertSession(ctx, s))
	}
	if err := errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	db, err := d.connect("bare", sqliteDurable)
	if err != nil {
		return nil, err
	}
	stmt, err := db.PrepareContext(ctx, sqliteBare)
	return sqliteLoop{db, stmt}, err
}

func (l sqliteLoop) close() { _ = l.db.Close() } // thrown away in a moment

// update reads the rows to their end: left before it, the statement is reset
// and the log never folded back.
func (l sqliteLoop) update(c bitjang.Confirmation, _ int) error {
	rows, err := l.stmt.Query(int64(c.Generation), c.Nonce[:], c.Parent[:], c.Now.UnixMilli(), c.IdleExpiresAt.UnixMilli(), c.ID[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		found++
	}
	if rows.Err() == nil && found != 1 {
		return errBareMoved
	}
	return rows.Err()
}

// bulk needs no durability on the way: a load that was interrupted begins again.
func (d *sqlite) bulk(ctx context.Context, n int, session func(int) bitjang.Session) error {
	db, err := d.connect("bitjang", "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=cache_size(-1000000)&_pragma=wal_autocheckpoint(50000)")
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := readPattern(ctx, db)
	if err != nil {
		return err
	}
	// A row at a time: there is no round trip to save, and long statements take
	// long to bind.
	if err := p.insertAll(ctx, db, n, 1, 25_000, session); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (d *sqlite) bytes(context.Context) (int64, error) {
	info, err := os.Stat(d.file("bitjang"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *sqlite) settle(context.Context) error { return nil } // nothing goes on there

func (d *sqlite) dying(ctx context.Context, first, t time.Time) (int, error) {
	db, err := d.connect("bitjang", "?_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var oldest int64
	err = db.QueryRowContext(ctx, "SELECT coalesce(min(sweep_at), 0) FROM sessions").Scan(&oldest)
	return dyingAfter(oldest, first, t), err
}
