-- +goose Up
-- The log is a chain: each hash covers its row and the hash of the row before.
-- Rows are only ever added at the end, and removed at the beginning.
CREATE TABLE audit (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL, -- microseconds since 1970
    project TEXT    NOT NULL,
    key_id  TEXT    NOT NULL,
    body    BLOB    NOT NULL, -- JSON
    prev    BLOB    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_by_project ON audit (project, seq);
CREATE INDEX audit_by_key ON audit (key_id, seq);

-- One row: where the log ends, and where it begins.
CREATE TABLE audit_head (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    hash        BLOB    NOT NULL,
    pruned_seq  INTEGER NOT NULL,
    pruned_hash BLOB    NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, 0, zeroblob(32), 0, zeroblob(32));

-- +goose Down
DROP TABLE audit_head;
DROP TABLE audit;
