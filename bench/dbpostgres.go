//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bitjang/bitjang"
	"github.com/bitjang/bitjang/internal/servers"
	"github.com/bitjang/bitjang/store/sqlstore"
)

// bareConnections is the most that a bare loop uses: one for each caller up to
// there.
const bareConnections = 64

type postgres struct {
	tuning []string // settings beside the defaults
	server *servers.Server
}

func (d *postgres) start(ctx context.Context) (err error) {
	d.server, err = servers.Postgres(ctx, d.tuning...)
	return err
}

func (d *postgres) close() error { return closeServer(d.server) }
func (d *postgres) pid() int     { return d.server.PID() }

func (d *postgres) settings() []string { return []string{"BITJANG_DATABASE=" + d.server.URL()} }

func (d *postgres) version(ctx context.Context) (string, error) {
	text, err := d.server.CLI(ctx, "SHOW server_version")
	version, _, _ := strings.Cut(text, " ")
	return "PostgreSQL " + strings.TrimSpace(version), err
}

func (d *postgres) open(ctx context.Context, _ bool) (sessionStore, error) {
	return sqlstore.Open(ctx, d.server.URL())
}

// rows counts all tables, and so those of the refreshes' audit trail too.
func (d *postgres) rows(ctx context.Context) (int, error) {
	n, err := number64(d.server.CLI(ctx, `SELECT sum((xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || quote_ident(table_name), false, true, '')))[1]::text::bigint)
		FROM information_schema.tables WHERE table_schema = 'public'`))
	return int(n), err
}

func (d *postgres) logged(ctx context.Context, _ int) (logged, error) {
	n, err := number64(d.server.CLI(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))
	return logged{bytes: n}, err
}

// postgresBare is what sqlstore's statement does to one session.
const postgresBare = `UPDATE sessions SET generation = $2, nonce = $3, parent = $4, confirmed_at = $5, child_at = $5, child_seen_at = 0,
	last_seen_at = $5, idle_expires_at = $6, version = version + 1
	WHERE id = $1 AND generation = $2 - 1 AND nonce = $4 AND ended_at = 0 AND held_at = 0 AND idle_expires_at > $5 AND expires_at > $5
	RETURNING id, user_id, created_at, client_id, version, expires_at, auth_time, amr, acr, scope, roles, device_id, device_name, user_agent, client_hints, ip`

type postgresLoop struct{ pool *pgxpool.Pool }

func (d *postgres) bare(ctx context.Context, _ []bitjang.Session) (bareLoop, error) {
	pool, err := pgxpool.New(ctx, fmt.Sprintf("%s&pool_max_conns=%d", d.server.URL(), bareConnections))
	return postgresLoop{pool}, err
}

func (l postgresLoop) close() { l.pool.Close() }

func (l postgresLoop) update(c bitjang.Confirmation, _ int) error {
	rows, err := l.pool.Query(context.Background(), postgresBare,
		c.ID[:], int64(c.Generation), c.Nonce[:], c.Parent[:], c.Now.UnixMilli(), c.IdleExpiresAt.UnixMilli())
	if err != nil {
		return err
	}
	found := 0
	for rows.Next() {
		found += min(1, len(rows.RawValues()))
	}
	if rows.Err() == nil && found != 1 {
		return errBareMoved
	}
	return rows.Err()
}

func (d *postgres) bulk(ctx context.Context, n int, session func(int) bitjang.Session) error {
	conn, err := pgx.Connect(ctx, d.server.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT * FROM sessions LIMIT 1")
	if err != nil {
		return err
	}
	var columns []string
	for _, f := range rows.FieldDescriptions() {
		columns = append(columns, f.Name)
	}
	values, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		return fmt.Errorf("read the pattern: %w", err)
	}
	p := newPattern(columns, values)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"sessions"}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		return p.row(session(i)), nil
	}))
	return err
}

func (d *postgres) bytes(ctx context.Context) (int64, error) {
	return number64(d.server.CLI(ctx, "SELECT pg_total_relation_size('sessions')"))
}

// settle does at once what autovacuum would do within the next minutes.
func (d *postgres) settle(ctx context.Context) error {
	_, err := d.server.CLI(ctx, "VACUUM ANALYZE sessions;\nCHECKPOINT;\n")
	return err
}

func (d *postgres) dying(ctx context.Context, first, t time.Time) (int, error) {
	oldest, err := number64(d.server.CLI(ctx, "SELECT coalesce(min(sweep_at), 0) FROM sessions"))
	return dyingAfter(oldest, first, t), err
}
