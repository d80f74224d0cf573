//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/sqlstore"
)

type mariadb struct {
	tuning []string // settings beside the defaults
	server *servers.Server
}

func (d *mariadb) start(ctx context.Context) (err error) {
	d.server, err = servers.MariaDB(ctx, d.tuning...)
	return err
}

func (d *mariadb) close() error { return closeServer(d.server) }
func (d *mariadb) pid() int     { return d.server.PID() }

func (d *mariadb) settings() []string { return []string{"BITJANG_DATABASE=" + d.server.URL()} }

func (d *mariadb) version(ctx context.Context) (string, error) {
	text, err := d.server.CLI(ctx, "SELECT version()")
	version, _, _ := strings.Cut(strings.TrimSpace(text), "-")
	return "MariaDB " + version, err
}

func (d *mariadb) open(ctx context.Context, _ bool) (sessionStore, error) {
	return sqlstore.Open(ctx, d.server.URL())
}

func (d *mariadb) rows(ctx context.Context) (int, error) {
	tables, err := d.server.CLI(ctx, "SHOW TABLES")
	if err != nil {
		return 0, err
	}
	var counts []string
	for _, name := range strings.Fields(tables) {
		counts = append(counts, "(SELECT count(*) FROM "+name+")")
	}
	n, err := number64(d.server.CLI(ctx, "SELECT "+strings.Join(counts, " + ")))
	return int(n), err
}

func (d *mariadb) logged(ctx context.Context, _ int) (logged, error) {
	n, err := number64(d.server.CLI(ctx, "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_os_log_written'"))
	return logged{bytes: n}, err
}

// connect opens a pool without our store.
func (d *mariadb) connect(connections int) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd, config.DBName = "tcp", d.server.Addr(), "bitjang", "secret", "bitjang"
	config.Collation = "utf8mb4_bin"
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// mariadbBare is what sqlstore's first statement does to one session. There is
// no UPDATE … RETURNING; the read that the store adds is no part of the limit.
const mariadbBare = `UPDATE sessions SET generation = ?, nonce = ?, parent = ?, confirmed_at = ?, child_at = ?, child_seen_at = 0,
	last_seen_at = ?, idle_expires_at = ?, version = version + 1
	WHERE id = ? AND generation = ? AND nonce = ? AND ended_at = 0 AND held_at = 0 AND idle_expires_at > ? AND expires_at > ?`

type mariadbLoop struct {
	db   *sql.DB
	stmt *sql.Stmt
}

func (d *mariadb) bare(ctx context.Context, _ []bitjang.Session) (bareLoop, error) {
	db, err := d.connect(bareConnections)
	if err != nil {
		return nil, err
	}
	stmt, err := db.PrepareContext(ctx, mariadbBare)
	return mariadbLoop{db, stmt}, err
}

func (l mariadbLoop) close() { _ = l.db.Close() } // thrown away in a moment

func (l mariadbLoop) update(c bitjang.Confirmation, _ int) error {
	now := c.Now.UnixMilli()
	result, err := l.stmt.Exec(int64(c.Generation), c.Nonce[:], c.Parent[:], now, now, now, c.IdleExpiresAt.UnixMilli(),
		c.ID[:], int64(c.Generation)-1, c.Parent[:], now, now)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errBareMoved
	}
	return nil
}

func (d *mariadb) bulk(ctx context.Context, n int, session func(int) bitjang.Session) error {
	db, err := d.connect(1)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := readPattern(ctx, db)
	if err != nil {
		return err
	}
	// Parameters are at most 65,535. A transaction of many statements: one fsync
	// for all of them.
	return p.insertAll(ctx, db, n, 500, 20, session)
}

// bytes is the size of the table's file, in which InnoDB keeps the indexes too.
func (d *mariadb) bytes(ctx context.Context) (int64, error) {
	return number64(d.server.CLI(ctx, "SELECT file_size FROM information_schema.innodb_sys_tablespaces WHERE name = 'bitjang/sessions'"))
}

// settle has InnoDB write back most of what is changed, which it puts off for as
// long as it can: the refreshes that are measured would have to do it.
func (d *mariadb) settle(ctx context.Context) (err error) {
	usual, err := d.server.CLI(ctx, "SELECT @@innodb_max_dirty_pages_pct")
	if err != nil {
		return err
	}
	set := func(percent string) error {
		_, err := d.server.CLI(ctx, "SET GLOBAL innodb_max_dirty_pages_pct = "+strings.TrimSpace(percent))
		return err
	}
	if err := set("0"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set(usual)) }()
	return waitFor(ctx, func() (bool, error) {
		share, err := d.server.CLI(ctx, `SELECT dirty.variable_value * 10 < total.variable_value FROM information_schema.global_status AS dirty,
			information_schema.global_status AS total
			WHERE dirty.variable_name = 'Innodb_buffer_pool_pages_dirty' AND total.variable_name = 'Innodb_buffer_pool_pages_total'`)
		return strings.TrimSpace(share) == "1", err
	})
}

func (d *mariadb) dying(ctx context.Context, first, t time.Time) (int, error) {
	oldest, err := number64(d.server.CLI(ctx, "SELECT coalesce(min(sweep_at), 0) FROM sessions"))
	return dyingAfter(oldest, first, t), err
}
