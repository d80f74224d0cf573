package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// statements are prepared once: on the pool, and on SQLite the writes on the
// one writing connection.
type statements struct {
	begin, commit, rollback, savepoint, undo, release *sql.Stmt // SQLite

	insertSession, session, confirmSession, confirmedSessions, updateSession, sessions, everySession *sql.Stmt
	endSessions, deleteSessions, postponeSessions                                                    *sql.Stmt
	takeTurn, tell, tellEnded, revocations, deleteRevocations                                        *sql.Stmt
	insertGrant, consumeGrant, grant, deleteGrants                                                   *sql.Stmt
	insertLimit, spend, limit, deleteLimits                                                          *sql.Stmt
	insertUser, user, userByEmail, updateUser, users, deleteUsers                                    *sql.Stmt
	insertFactor, factors, updateFactor, deleteFactor, deleteFactorsOf                               *sql.Stmt
	insertMail, dueMails, claimMail, postponeMail, deleteMail                                        *sql.Stmt
	insertClient, client, updateClient, clients, deleteClient                                        *sql.Stmt
	insertConsent, consent, updateConsent, consents, deleteConsents                                  *sql.Stmt
	insertEvent, events, eventsAfter, lastSealed, sealEvent, deleteEvents                            *sql.Stmt
	insertKey, keys, updateKey, deleteKey                                                            *sql.Stmt
}

type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// text is a statement and where it is kept.
type text struct {
	stmt  **sql.Stmt
	query string
}

func (st *statements) prepare(ctx context.Context, d *dialect, reads, writes preparer) error {
	on := func(db preparer, texts []text) error {
		for _, t := range texts {
			var err error
			if *t.stmt, err = db.PrepareContext(ctx, d.text(t.query)); err != nil {
				return fmt.Errorf("prepare %.40q: %w", t.query, err)
			}
		}
		return nil
	}
	writing := st.writing(d)
	if d.shares {
		writing = append(writing, st.sharing()...)
	}
	if d.confirmed != "" {
		writing = append(writing, text{&st.confirmedSessions, d.confirmed})
	}
	return errors.Join(on(reads, st.reading()), on(writes, writing))
}

// sharing are the statements around the writes that share a commit.
func (st *statements) sharing() []text {
	return []text{
		{&st.begin, `BEGIN IMMEDIATE`}, {&st.commit, `COMMIT`}, {&st.rollback, `ROLLBACK`},
		{&st.savepoint, `SAVEPOINT several`}, {&st.undo, `ROLLBACK TO several`}, {&st.release, `RELEASE several`},
	}
}

func (st *statements) reading() []text {
	return []text{
		{&st.session, `SELECT ` + sessionColumns + ` FROM sessions WHERE id = ?`},
		{&st.sessions, `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?`},
		{&st.everySession, `SELECT ` + sessionColumns + ` FROM sessions WHERE id > ? ORDER BY id LIMIT ?`},
		{&st.revocations, `SELECT number, session_id, at, state, reason FROM revocations WHERE number > ? ORDER BY number LIMIT ?`},
		{&st.user, `SELECT ` + userColumns + ` FROM users WHERE id = ?`},
		{&st.userByEmail, `SELECT ` + userColumns + ` FROM users WHERE email = ?`},
		{&st.users, `SELECT ` + userColumns + ` FROM users WHERE id > ? ORDER BY id LIMIT ?`},
		{&st.factors, `SELECT ` + factorColumns + ` FROM factors WHERE user_id = ? ORDER BY created_at, id`},
		{&st.client, `SELECT ` + clientColumns + ` FROM clients WHERE id = ?`},
		{&st.clients, `SELECT ` + clientColumns + ` FROM clients WHERE id > ? ORDER BY id LIMIT ?`},
		{&st.consent, `SELECT ` + consentColumns + ` FROM consents WHERE user_id = ? AND client_id = ?`},
		{&st.consents, `SELECT ` + consentColumns + ` FROM consents WHERE user_id = ? ORDER BY client_id`},
		{&st.dueMails, `SELECT ` + mailColumns + ` FROM mails WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`},
		{&st.eventsAfter, `SELECT ` + eventColumns + ` FROM events WHERE id > ? ORDER BY id LIMIT ?`},
		{&st.lastSealed, `SELECT ` + eventColumns + ` FROM events WHERE length(seal) > 0 ORDER BY id DESC LIMIT 1`},
		{&st.events, `SELECT ` + eventColumns + ` FROM events
			WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?`},
		{&st.keys, `SELECT id, algorithm, sealed, created_at, active_from FROM signing_keys`},
	}
}

// deadSince is Session.DeadSince in SQL.
const deadSince = `CASE WHEN ended_at <> 0 THEN ended_at WHEN idle_expires_at < expires_at THEN idle_expires_at ELSE expires_at END`

// dueUsers are the users to delete, the same ones for whatever goes with them.
const dueUsers = `SELECT id FROM (SELECT id FROM users WHERE delete_at > 0 AND delete_at < ? ORDER BY delete_at, id LIMIT ?) AS due`

// emptied is when a bucket is empty, seen from now.
const emptied = `CASE WHEN empty_at > ? THEN empty_at ELSE ? END`

func (st *statements) writing(d *dialect) []text {
	return []text{
		{&st.insertSession, d.insertOnce("sessions", sessionColumns+", sweep_at")},
		{&st.confirmSession, d.confirm},
		{&st.updateSession, `UPDATE sessions SET client_id = ?, version = ?,
			generation = ?, nonce = ?, parent = ?, confirmed_at = ?, child_at = ?, child_seen_at = ?,
			last_seen_at = ?, idle_expires_at = ?, expires_at = ?, ended_at = ?, end_reason = ?, held_at = ?, held_for = ?,
			auth_time = ?, amr = ?, acr = ?, scope = ?, audience = ?, login_id = ?, roles = ?, device_id = ?, device_name = ?, user_agent = ?, client_hints = ?, ip = ?, key_thumbprint = ?, sweep_at = ?
			WHERE id = ? AND version = ?`},
		{&st.endSessions, `UPDATE sessions SET ended_at = ?, end_reason = ?, sweep_at = ?, version = version + 1
			WHERE ` + endable + ` AND ended_at = 0 AND expires_at > ?`},
		{&st.deleteSessions, d.deleteIn("sessions", "id", `SELECT id FROM
			(SELECT id, ended_at, idle_expires_at, expires_at FROM sessions WHERE sweep_at < ? ORDER BY sweep_at LIMIT ?) AS due
			WHERE `+deadSince+` < ?`)},
		{&st.postponeSessions, d.updateIn("sessions", "id",
			`SELECT id FROM (SELECT id FROM sessions WHERE sweep_at < ? ORDER BY sweep_at LIMIT ?) AS early`, `sweep_at = `+deadSince)},

		{&st.takeTurn, `UPDATE revocation_turn SET turn = turn + 1`},
		{&st.tell, insertInto("revocations", "session_id, at, state, reason")},
		{&st.tellEnded, `INSERT INTO revocations (session_id, at, state, reason)
			SELECT id, ended_at, 'ended', end_reason FROM sessions WHERE ` + endable + ` AND ended_at = ? AND end_reason = ? ORDER BY id`},
		{&st.deleteRevocations, d.deleteIn("revocations", "number",
			`SELECT number FROM (SELECT number FROM revocations WHERE at < ? ORDER BY at LIMIT ?) AS old`)},

		{&st.insertGrant, d.insertOnce("grants", grantColumns)},
		{&st.consumeGrant, `UPDATE grants SET used_at = ? WHERE id = ? AND used_at = 0`},
		{&st.grant, `SELECT ` + grantColumns + ` FROM grants WHERE id = ?`},
		{&st.deleteGrants, d.deleteIn("grants", "id", `SELECT id FROM (SELECT id FROM grants WHERE expires_at < ? ORDER BY expires_at LIMIT ?) AS old`)},

		{&st.insertLimit, d.insertOnce("limits", "id, empty_at")},
		{&st.spend, `UPDATE limits SET empty_at = ` + emptied + ` + ? WHERE id = ? AND ` + emptied + ` <= ?`},
		{&st.limit, `SELECT empty_at FROM limits WHERE id = ?`},
		{&st.deleteLimits, d.deleteIn("limits", "id", `SELECT id FROM (SELECT id FROM limits WHERE empty_at < ? ORDER BY empty_at LIMIT ?) AS old`)},

		{&st.insertUser, d.insertOnce("users", userColumns)},
		{&st.updateUser, `UPDATE users SET email = ?, name = ?, password_hash = ?, roles = ?, updated_at = ?, disabled_at = ?, password_version = ?,
			email_verified_at = ?, language = ?, delete_at = ?, version = version + 1 WHERE id = ? AND version = ?`},
		{&st.deleteUsers, d.deleteIn("users", "id", `SELECT id FROM (SELECT id FROM users WHERE delete_at > 0 AND delete_at < ? ORDER BY delete_at, id LIMIT ?) AS due`)},

		{&st.insertFactor, d.insertOnce("factors", factorColumns)},
		{&st.updateFactor, `UPDATE factors SET name = ?, sealed = ?, counter = ?, used_at = ?, version = version + 1 WHERE id = ? AND version = ?`},
		{&st.deleteFactor, `DELETE FROM factors WHERE user_id = ? AND id = ?`},
		{&st.deleteFactorsOf, d.deleteIn("factors", "user_id", `SELECT id AS user_id FROM (`+dueUsers+`) AS owners`)},

		{&st.insertClient, d.insertOnce("clients", clientColumns)},
		{&st.updateClient, `UPDATE clients SET settings = ?, updated_at = ?, version = version + 1 WHERE id = ? AND version = ?`},
		{&st.deleteClient, `DELETE FROM clients WHERE id = ?`},

		{&st.insertConsent, d.insertOnce("consents", consentColumns)},
		{&st.updateConsent, `UPDATE consents SET scope = ?, at = ? WHERE user_id = ? AND client_id = ?`},
		{&st.deleteConsents, `DELETE FROM consents WHERE user_id = ? AND (? = '' OR client_id = ?)`},

		{&st.insertMail, d.insertOnce("mails", mailColumns)},
		{&st.claimMail, `UPDATE mails SET due_at = ?, attempts = attempts + 1 WHERE id = ? AND due_at = ? AND attempts = ?`},
		{&st.postponeMail, `UPDATE mails SET due_at = ? WHERE id = ?`},
		{&st.deleteMail, `DELETE FROM mails WHERE id = ?`},

		{&st.insertEvent, insertInto("events", "at, type, user_id, session_id, ip, user_agent, reason, count, detail")},
		{&st.sealEvent, `UPDATE events SET seal = ? WHERE id = ? AND length(seal) = 0`},
		{&st.deleteEvents, d.deleteIn("events", "id", `SELECT id FROM (SELECT id FROM events WHERE at < ? ORDER BY at LIMIT ?) AS old`)},

		{&st.insertKey, d.insertOnce("signing_keys", "id, algorithm, sealed, created_at, active_from")},
		{&st.updateKey, `UPDATE signing_keys SET algorithm = ?, sealed = ?, created_at = ?, active_from = ? WHERE id = ?`},
		{&st.deleteKey, `DELETE FROM signing_keys WHERE id = ?`},
	}
}

// endable is the part of an EndFilter that is not about the moment.
const endable = `user_id = ? AND id <> ? AND (? = 0 OR id = ?) AND (? = '' OR device_id = ?)`

// insertOnce is an insert that does nothing where the key is taken.
func (d *dialect) insertOnce(table, columns string) string {
	first, _, _ := strings.Cut(columns, ",")
	return insertInto(table, columns) + d.ignore(first)
}

func insertInto(table, columns string) string {
	marks := strings.Repeat(", ?", strings.Count(columns, ",")+1)[2:]
	return `INSERT INTO ` + table + ` (` + columns + `) VALUES (` + marks + `)`
}
