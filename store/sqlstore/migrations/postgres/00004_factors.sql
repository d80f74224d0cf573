-- +goose Up
-- What users have beside the password. A node of the release before leaves the
-- table alone, and asks for nothing but the password.

CREATE TABLE factors (
  id         TEXT COLLATE "C" PRIMARY KEY,
  user_id    TEXT COLLATE "C" NOT NULL,
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  sealed     BYTEA NOT NULL, -- under the master key
  counter    BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  version    BIGINT NOT NULL
);

CREATE INDEX factors_user ON factors (user_id);
