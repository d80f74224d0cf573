-- +goose Up
-- When a session was seen before its last refresh: that one knows how long it
-- was silent. Only confirmations write and read it. The default is for nodes of
-- the release before.

ALTER TABLE sessions ADD COLUMN seen_before_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN detail TEXT NOT NULL DEFAULT '';
