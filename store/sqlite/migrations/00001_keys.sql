-- +goose Up
-- Times are microseconds since 1970 in UTC; NULL stands for the zero time.
CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    scopes       TEXT    NOT NULL, -- JSON array
    projects     TEXT    NOT NULL, -- JSON array
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,
    replaced_by  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX keys_newest ON keys (created_at DESC, id DESC);

-- +goose Down
DROP TABLE keys;
