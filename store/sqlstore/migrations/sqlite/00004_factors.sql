-- +goose Up
-- What users have beside the password. A node of the release before leaves the
-- table alone, and asks for nothing but the password.

CREATE TABLE factors (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL,
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  sealed     BLOB NOT NULL, -- under the master key
  counter    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL,
  version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX factors_user ON factors (user_id);
