package sqlstore

import (
	"context"
	"errors"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

func postgresDialect() *dialect {
	return &dialect{
		name: "postgres", goose: goose.DialectPostgres,
		numbered: true,
		ignore:   func(string) string { return " ON CONFLICT DO NOTHING" },
		// One statement for a group. Its rows come sorted by id, so that two
		// groups lock what they have in common in one order.
		confirm: `UPDATE sessions SET
			generation = c.generation, nonce = c.nonce, parent = c.parent, confirmed_at = c.now, child_at = c.now, child_seen_at = 0,
			seen_before_at = last_seen_at, last_seen_at = c.now, idle_expires_at = c.idle_expires_at, version = version + 1
			FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[])
			AS c (id, generation, nonce, parent, now, idle_expires_at)
			WHERE sessions.id = c.id AND sessions.generation = c.generation - 1 AND sessions.nonce = c.parent AND ended_at = 0 AND held_at = 0 AND key_thumbprint = ''
			AND sessions.idle_expires_at > c.now AND expires_at > c.now
			RETURNING sessions.id, ` + confirmedColumns,
		confirmGroup: confirmPostgres,
		lock:         `SELECT pg_advisory_lock(7091172)`,
		unlock:       `SELECT pg_advisory_unlock(7091172)`,
		duplicate:    func(err error) bool { return postgresCode(err) == "23505" },
		transient: func(err error) bool {
			code := postgresCode(err)
			return code == "40001" || code == "40P01" // serialization failure, deadlock
		},
	}
}

// postgresCode returns the SQLSTATE of an error, or "".
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresPlans keeps every plan on its index. All statements go by one, but a
// planner that has not counted a growing table yet may choose to read it whole.
// With one plan to choose from, making it anew for each group is wasted.
var postgresPlans = map[string]string{
	"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
	"plan_cache_mode": "force_generic_plan",
}

func openPostgres(ctx context.Context, s *Store, address string) error {
	u, opt, err := parseServer(address)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return redactError(err, u)
	}
	maps.Copy(config.RuntimeParams, postgresPlans)
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "bitjang"
	}
	s.d = postgresDialect()
	return s.openServer(ctx, stdlib.OpenDB(*config), opt)
}

// confirmPostgres confirms a group by one statement.
func confirmPostgres(ctx context.Context, s *Store, group []*confirming) ([]moved, error) {
	n := len(group)
	ids, nonces, parents := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	generations, nows, idles := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, c := range group {
		ids[i], nonces[i], parents[i] = c.ID[:], c.Nonce[:], c.Parent[:]
		generations[i], nows[i], idles[i] = int64(c.Generation), millis(c.Now), millis(c.IdleExpiresAt)
	}
	rows, err := s.stmts.confirmSession.QueryContext(ctx, ids, generations, nonces, parents, nows, idles)
	return collect(rows, err, scanMoved)
}
