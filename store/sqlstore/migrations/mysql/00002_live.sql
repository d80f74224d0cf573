-- +goose Up
-- What changes by the minute beside the sessions: the revocation feed, one-time
-- grants and limits.

CREATE TABLE revocations (
  number     BIGINT AUTO_INCREMENT PRIMARY KEY, -- never used twice, so that cursors stay good
  session_id BINARY(16) NOT NULL,
  at         BIGINT NOT NULL,
  state      TEXT NOT NULL,
  reason     TEXT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX revocations_at ON revocations (at);

-- One row. Whoever appends to the feed changes it first, and so holds its lock
-- until the commit: numbers become visible in their order.
CREATE TABLE revocation_turn (
  turn BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

INSERT INTO revocation_turn VALUES (0);

CREATE TABLE grants (
  id         BINARY(32) PRIMARY KEY,
  kind       TEXT NOT NULL,
  user_id    VARBINARY(255) NOT NULL,
  data       BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE limits (
  id       VARBINARY(256) PRIMARY KEY,
  empty_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX limits_empty ON limits (empty_at);
