-- +goose Up
-- What users have beside the password. A node of the release before leaves the
-- table alone, and asks for nothing but the password.

CREATE TABLE factors (
  id         VARBINARY(64) PRIMARY KEY,
  user_id    VARBINARY(255) NOT NULL,
  kind       VARCHAR(32) NOT NULL,
  name       TEXT NOT NULL,
  sealed     BLOB NOT NULL, -- under the master key
  counter    BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  version    BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE INDEX factors_user ON factors (user_id);
