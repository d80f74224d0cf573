-- +goose Up
-- What changes by the minute beside the sessions: the revocation feed, one-time
-- grants and limits.

CREATE TABLE revocations (
  number     INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, so that cursors stay good
  session_id BLOB NOT NULL,
  at         INTEGER NOT NULL,
  state      TEXT NOT NULL,
  reason     TEXT NOT NULL
) STRICT;

CREATE INDEX revocations_at ON revocations (at);

-- One row. Whoever appends to the feed changes it first, and so holds its lock
-- until the commit: numbers become visible in their order.
CREATE TABLE revocation_turn (
  turn INTEGER NOT NULL
) STRICT;

INSERT INTO revocation_turn VALUES (0);

CREATE TABLE grants (
  id         BLOB PRIMARY KEY,
  kind       TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  data       BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE limits (
  id       TEXT PRIMARY KEY,
  empty_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX limits_empty ON limits (empty_at);
