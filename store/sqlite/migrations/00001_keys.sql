-- +goose Up
-- Times are microseconds since 1970 in UTC; NULL stands for the zero time.
CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL,
    algorithm    TEXT    NOT NULL,
    scopes       TEXT    NOT NULL, -- JSON array
    projects     TEXT    NOT NULL, -- JSON array
    addresses    TEXT    NOT NULL, -- JSON array
    policy       TEXT    NOT NULL, -- the widest level, empty for no bound
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    replaces     TEXT    NOT NULL DEFAULT '',
    replaced_by  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX keys_newest ON keys (created_at DESC, id DESC);

-- Apart from the keys, so that their use does not write them.
CREATE TABLE key_usage (
    key_id       TEXT    NOT NULL PRIMARY KEY,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE key_usage;
DROP TABLE keys;
