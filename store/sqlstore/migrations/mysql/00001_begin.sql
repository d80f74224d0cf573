-- +goose Up
-- Times are Unix milliseconds; 0 means unset. Lists are separated by spaces.
-- Text that is compared or sorted is binary: collations take "a" and "a " for
-- the same.

CREATE TABLE users (
  id            VARBINARY(255) PRIMARY KEY,
  email         VARBINARY(512) NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  roles         TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  disabled_at   BIGINT NOT NULL,
  password_version BIGINT NOT NULL,
  version       BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

-- One row per session, whatever happens to it. A refresh changes no indexed
-- column, so it rewrites one row in its place.
CREATE TABLE sessions (
  id              BINARY(16) PRIMARY KEY,
  user_id         VARBINARY(255) NOT NULL,
  client_id       TEXT NOT NULL,
  version         BIGINT NOT NULL,
  generation      BIGINT NOT NULL,
  nonce           BINARY(8) NOT NULL,
  parent          BINARY(8) NOT NULL,
  confirmed_at    BIGINT NOT NULL,
  child_at        BIGINT NOT NULL,
  child_seen_at   BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  last_seen_at    BIGINT NOT NULL,
  idle_expires_at BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  ended_at        BIGINT NOT NULL,
  end_reason      TEXT NOT NULL,
  held_at         BIGINT NOT NULL,
  held_for        TEXT NOT NULL,
  auth_time       BIGINT NOT NULL,
  amr             TEXT NOT NULL,
  acr             TEXT NOT NULL,
  scope           TEXT NOT NULL,
  roles           TEXT NOT NULL,
  device_id       VARBINARY(512) NOT NULL,
  device_name     TEXT NOT NULL,
  user_agent      TEXT NOT NULL,
  client_hints    TEXT NOT NULL, -- JSON, '' when there are none
  ip              TEXT NOT NULL,
  batch           BINARY(8) NOT NULL DEFAULT '', -- which batch of confirmations moved the row last: there is no UPDATE … RETURNING
  sweep_at        BIGINT NOT NULL -- when the sweeper looks next: never later than the session's death
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_sweep ON sessions (sweep_at);

CREATE TABLE events (
  id         BIGINT AUTO_INCREMENT PRIMARY KEY,
  at         BIGINT NOT NULL,
  type       TEXT NOT NULL,
  user_id    VARBINARY(255) NOT NULL,
  session_id BINARY(16) NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  reason     TEXT NOT NULL,
  count      BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);

CREATE TABLE signing_keys (
  id          VARBINARY(255) PRIMARY KEY,
  algorithm   TEXT NOT NULL,
  sealed      BLOB NOT NULL,
  created_at  BIGINT NOT NULL,
  active_from BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;
