-- +goose Up
-- What changes by the minute beside the sessions: the revocation feed, one-time
-- grants and limits.

CREATE TABLE revocations (
  number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used twice, so that cursors stay good
  session_id BYTEA NOT NULL,
  at         BIGINT NOT NULL,
  state      TEXT NOT NULL,
  reason     TEXT NOT NULL
);

CREATE INDEX revocations_at ON revocations (at);

-- One row. Whoever appends to the feed changes it first, and so holds its lock
-- until the commit: numbers become visible in their order.
CREATE TABLE revocation_turn (
  turn BIGINT NOT NULL
);

INSERT INTO revocation_turn VALUES (0);

CREATE TABLE grants (
  id         BYTEA PRIMARY KEY,
  kind       TEXT NOT NULL,
  user_id    TEXT COLLATE "C" NOT NULL,
  data       BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL
);

CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE limits (
  id       TEXT COLLATE "C" PRIMARY KEY,
  empty_at BIGINT NOT NULL
);

CREATE INDEX limits_empty ON limits (empty_at);
