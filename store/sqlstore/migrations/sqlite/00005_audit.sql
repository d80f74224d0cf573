-- +goose Up
-- What chains the audit trail. Events of before are sealed once a node runs.

ALTER TABLE events ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
