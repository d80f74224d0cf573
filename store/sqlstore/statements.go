package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/bitjang/bitjang"
)

// statements are prepared once: reads on the pool, writes on the one writing
// connection.
type statements struct {
	begin, commit, rollback *sql.Stmt

	insertSession, session, confirmSession, updateSession, sessions *sql.Stmt
	endSessions, deleteSessions, postponeSessions                   *sql.Stmt
	insertUser, user, userByEmail, updateUser, userAtVersion, users *sql.Stmt
	events, deleteEvents                                            *sql.Stmt
	insertKey, keys, updateKey, deleteKey                           *sql.Stmt
}

type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func (st *statements) prepare(ctx context.Context, reads, writer preparer) error {
	for _, p := range []struct {
		on   preparer
		stmt **sql.Stmt
		text string
	}{
		{writer, &st.begin, `BEGIN IMMEDIATE`},
		{writer, &st.commit, `COMMIT`},
		{writer, &st.rollback, `ROLLBACK`},

		{writer, &st.insertSession, `INSERT INTO sessions (` + sessionColumns + `, sweep_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{reads, &st.session, `SELECT ` + sessionColumns + ` FROM sessions WHERE id = ?`},
		{writer, &st.confirmSession, `UPDATE sessions SET
			generation = ?1, nonce = ?2, parent = ?3, confirmed_at = ?4, child_at = ?4, child_seen_at = 0,
			last_seen_at = ?4, idle_expires_at = ?5, version = version + 1
			WHERE id = ?6 AND generation = ?7 AND nonce = ?3 AND ended_at = 0 AND held_at = 0
			AND idle_expires_at > ?4 AND expires_at > ?4
			RETURNING ` + confirmedColumns},
		{writer, &st.updateSession, `UPDATE sessions SET client_id = ?, version = ?,
			generation = ?, nonce = ?, parent = ?, confirmed_at = ?, child_at = ?, child_seen_at = ?,
			last_seen_at = ?, idle_expires_at = ?, expires_at = ?, ended_at = ?, end_reason = ?, held_at = ?, held_for = ?,
			auth_time = ?, amr = ?, acr = ?, scope = ?, roles = ?, device_id = ?, device_name = ?, user_agent = ?, client_hints = ?, ip = ?, sweep_at = ?
			WHERE id = ? AND version = ?`},
		{reads, &st.sessions, `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?`},
		{writer, &st.endSessions, `UPDATE sessions SET ended_at = ?1, end_reason = ?2, sweep_at = ?1, version = version + 1
			WHERE user_id = ?3 AND id <> ?4 AND (?5 = '' OR device_id = ?5) AND ended_at = 0 AND expires_at > ?1`},
		{writer, &st.deleteSessions, `DELETE FROM sessions WHERE id IN (SELECT id FROM
			(SELECT id, ended_at, idle_expires_at, expires_at FROM sessions WHERE sweep_at < ?1 ORDER BY sweep_at LIMIT ?2)
			WHERE CASE WHEN ended_at <> 0 THEN ended_at ELSE min(idle_expires_at, expires_at) END < ?1)`},
		{writer, &st.postponeSessions, `UPDATE sessions SET sweep_at = CASE WHEN ended_at <> 0 THEN ended_at ELSE min(idle_expires_at, expires_at) END
			WHERE id IN (SELECT id FROM sessions WHERE sweep_at < ?1 ORDER BY sweep_at LIMIT ?2)`},

		{writer, &st.insertUser, `INSERT INTO users (` + userColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{reads, &st.user, `SELECT ` + userColumns + ` FROM users WHERE id = ?`},
		{reads, &st.userByEmail, `SELECT ` + userColumns + ` FROM users WHERE email = ?`},
		{writer, &st.updateUser, `UPDATE OR IGNORE users SET email = ?, name = ?, password_hash = ?, roles = ?, updated_at = ?, disabled_at = ?, password_version = ?,
			version = version + 1 WHERE id = ? AND version = ?`},
		{writer, &st.userAtVersion, `SELECT EXISTS (SELECT 1 FROM users WHERE id = ? AND version = ?)`},
		{reads, &st.users, `SELECT ` + userColumns + ` FROM users WHERE id > ? ORDER BY id LIMIT ?`},

		{reads, &st.events, `SELECT id, at, type, user_id, session_id, ip, user_agent, reason, count FROM events
			WHERE user_id = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`},
		{writer, &st.deleteEvents, `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?)`},

		{writer, &st.insertKey, `INSERT INTO signing_keys (id, algorithm, sealed, created_at, active_from) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{reads, &st.keys, `SELECT id, algorithm, sealed, created_at, active_from FROM signing_keys`},
		{writer, &st.updateKey, `UPDATE signing_keys SET algorithm = ?, sealed = ?, created_at = ?, active_from = ? WHERE id = ?`},
		{writer, &st.deleteKey, `DELETE FROM signing_keys WHERE id = ?`},
	} {
		stmt, err := p.on.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("prepare %.40q: %w", p.text, err)
		}
		*p.stmt = stmt
	}
	return nil
}

// queued runs fn, one statement or a few, in a shared transaction. A caller
// that gives up gets the error of its context and never sees what fn returned,
// which may still be at work.
func queued[T any](ctx context.Context, s *Store, fn func(context.Context) (T, error)) (T, error) {
	var result, none T
	err := s.queue.do(ctx, func() error {
		var err error
		result, err = fn(context.Background())
		return err
	})
	if err != nil {
		return none, err
	}
	return result, nil
}

// changeOne runs a statement that changes one row; none answers otherwise.
func (s *Store) changeOne(ctx context.Context, stmt *sql.Stmt, otherwise error, args ...any) error {
	n, err := queued(ctx, s, func(ctx context.Context) (int, error) {
		return affected(stmt.ExecContext(ctx, args...))
	})
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return bitjang.ErrNotFound
	}
	return err
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
