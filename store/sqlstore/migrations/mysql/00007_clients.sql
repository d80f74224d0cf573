-- +goose Up
-- Programs that log people in through us, what people have allowed them, and what
-- their sessions are for. The defaults are for nodes of the release before.

ALTER TABLE sessions ADD COLUMN audience VARCHAR(1024) NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN login_id VARBINARY(16) NOT NULL DEFAULT '';

CREATE TABLE clients (
  id         VARBINARY(255) PRIMARY KEY,
  settings   MEDIUMTEXT NOT NULL, -- JSON: nobody searches it
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  version    BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;

CREATE TABLE consents (
  user_id   VARBINARY(255) NOT NULL,
  client_id VARBINARY(255) NOT NULL,
  scope     MEDIUMTEXT NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE InnoDB;
