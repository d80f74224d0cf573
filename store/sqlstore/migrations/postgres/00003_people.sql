-- +goose Up
-- What pages and mail need to know about a user, and the mails that wait to be
-- sent. The defaults are for nodes of the release before.

ALTER TABLE users ADD COLUMN email_verified_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN delete_at BIGINT NOT NULL DEFAULT 0;

CREATE INDEX users_delete ON users (delete_at);

CREATE TABLE mails (
  id         TEXT COLLATE "C" PRIMARY KEY,
  sealed     BYTEA NOT NULL, -- they hold links that are worth an account
  created_at BIGINT NOT NULL,
  due_at     BIGINT NOT NULL,
  attempts   BIGINT NOT NULL
);

CREATE INDEX mails_due ON mails (due_at);
