-- +goose Up
-- Times are Unix milliseconds; 0 means unset. Lists are separated by spaces.

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  email         TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  roles         TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  disabled_at   INTEGER NOT NULL,
  password_version INTEGER NOT NULL,
  version       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per session, whatever happens to it. A refresh changes no indexed
-- column, so it rewrites one page.
CREATE TABLE sessions (
  id              BLOB PRIMARY KEY,
  user_id         TEXT NOT NULL,
  client_id       TEXT NOT NULL,
  version         INTEGER NOT NULL,
  generation      INTEGER NOT NULL,
  nonce           BLOB NOT NULL,
  parent          BLOB NOT NULL,
  confirmed_at    INTEGER NOT NULL,
  child_at        INTEGER NOT NULL,
  child_seen_at   INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  last_seen_at    INTEGER NOT NULL,
  idle_expires_at INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  ended_at        INTEGER NOT NULL,
  end_reason      TEXT NOT NULL,
  held_at         INTEGER NOT NULL,
  held_for        TEXT NOT NULL,
  auth_time       INTEGER NOT NULL,
  amr             TEXT NOT NULL,
  acr             TEXT NOT NULL,
  scope           TEXT NOT NULL,
  roles           TEXT NOT NULL,
  device_id       TEXT NOT NULL,
  device_name     TEXT NOT NULL,
  user_agent      TEXT NOT NULL,
  client_hints    TEXT NOT NULL, -- JSON, '' when there are none
  ip              TEXT NOT NULL,
  sweep_at        INTEGER NOT NULL -- when the sweeper looks next: never later than the session's death
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_sweep ON sessions (sweep_at);

CREATE TABLE events (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  type       TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  session_id BLOB NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  reason     TEXT NOT NULL,
  count      INTEGER NOT NULL
) STRICT;

CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);

CREATE TABLE signing_keys (
  id          TEXT PRIMARY KEY,
  algorithm   TEXT NOT NULL,
  sealed      BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  active_from INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
