-- +goose Up
-- Programs that log people in through us, what people have allowed them, and what
-- their sessions are for. The defaults are for nodes of the release before.

ALTER TABLE sessions ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN login_id BLOB NOT NULL DEFAULT x'';

CREATE TABLE clients (
  id         TEXT PRIMARY KEY,
  settings   TEXT NOT NULL, -- JSON: nobody searches it
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE consents (
  user_id   TEXT NOT NULL,
  client_id TEXT NOT NULL,
  scope     TEXT NOT NULL,
  at        INTEGER NOT NULL,
  PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
