-- +goose Up
-- Programs that log people in through us, what people have allowed them, and what
-- their sessions are for. The defaults are for nodes of the release before.

ALTER TABLE sessions ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN login_id BYTEA NOT NULL DEFAULT '';

CREATE TABLE clients (
  id         TEXT COLLATE "C" PRIMARY KEY,
  settings   TEXT NOT NULL, -- JSON: nobody searches it
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  version    BIGINT NOT NULL
);

CREATE TABLE consents (
  user_id   TEXT COLLATE "C" NOT NULL,
  client_id TEXT COLLATE "C" NOT NULL,
  scope     TEXT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
