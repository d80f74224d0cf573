-- +goose Up
-- What pages and mail need to know about a user, and the mails that wait to be
-- sent. The defaults are for nodes of the release before.

ALTER TABLE users ADD COLUMN email_verified_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN delete_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX users_delete ON users (delete_at);

CREATE TABLE mails (
  id         TEXT PRIMARY KEY,
  sealed     BLOB NOT NULL, -- they hold links that are worth an account
  created_at INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  attempts   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mails_due ON mails (due_at);
