-- +goose Up
-- What is searched for stands in columns, all of the record in body.
CREATE TABLE commands (
    num             INTEGER NOT NULL PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    project         TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    key_id          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL, -- microseconds since 1970
    ended_at        INTEGER,          -- NULL until it has ended
    idempotency_key TEXT    NOT NULL,
    turn            INTEGER NOT NULL, -- of one that waits for a place, else 0
    gate            TEXT    NOT NULL, -- JSON: which places there are for it
    claude_session  TEXT    NOT NULL DEFAULT '', -- of an ended claude that named one
    body            BLOB    NOT NULL  -- JSON
) STRICT;
CREATE INDEX commands_by_project ON commands (project, id);
CREATE INDEX commands_by_state ON commands (state, id);
CREATE INDEX commands_by_end ON commands (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX commands_by_idempotency_key ON commands (key_id, project, idempotency_key, created_at)
    WHERE idempotency_key <> '';
CREATE INDEX commands_by_claude_session ON commands (claude_session, id) WHERE claude_session <> '';

-- +goose Down
DROP TABLE commands;
