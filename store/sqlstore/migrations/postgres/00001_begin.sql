-- +goose Up
-- Times are Unix milliseconds; 0 means unset. Lists are separated by spaces.
-- Text that is compared or sorted is so byte for byte.

CREATE TABLE users (
  id            TEXT COLLATE "C" PRIMARY KEY,
  email         TEXT COLLATE "C" NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  roles         TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  disabled_at   BIGINT NOT NULL,
  password_version BIGINT NOT NULL,
  version       BIGINT NOT NULL
);

-- One row per session, whatever happens to it. A refresh changes no indexed
-- column and finds room on the row's own page, so it touches no index (HOT).
CREATE TABLE sessions (
  id              BYTEA PRIMARY KEY,
  user_id         TEXT COLLATE "C" NOT NULL,
  client_id       TEXT NOT NULL,
  version         BIGINT NOT NULL,
  generation      BIGINT NOT NULL,
  nonce           BYTEA NOT NULL,
  parent          BYTEA NOT NULL,
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
  device_id       TEXT COLLATE "C" NOT NULL,
  device_name     TEXT NOT NULL,
  user_agent      TEXT NOT NULL,
  client_hints    TEXT NOT NULL, -- JSON, '' when there are none
  ip              TEXT NOT NULL,
  sweep_at        BIGINT NOT NULL -- when the sweeper looks next: never later than the session's death
) WITH (fillfactor = 80);

CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_sweep ON sessions (sweep_at);

CREATE TABLE events (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         BIGINT NOT NULL,
  type       TEXT NOT NULL,
  user_id    TEXT COLLATE "C" NOT NULL,
  session_id BYTEA NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  reason     TEXT NOT NULL,
  count      BIGINT NOT NULL
);

CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);

CREATE TABLE signing_keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  algorithm   TEXT NOT NULL,
  sealed      BYTEA NOT NULL,
  created_at  BIGINT NOT NULL,
  active_from BIGINT NOT NULL
);
