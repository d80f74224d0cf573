-- +goose Up
-- The key that a session is bound to, if it is. A node of the release before
-- would serve such a session without asking for a proof, so let people log in
-- with keys only once all nodes know of them. It writes the default.

ALTER TABLE sessions ADD COLUMN key_thumbprint TEXT NOT NULL DEFAULT '';
