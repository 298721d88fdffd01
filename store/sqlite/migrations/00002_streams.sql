-- +goose Up
CREATE TABLE streams (
    num        INTEGER NOT NULL PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    first      INTEGER NOT NULL, -- oldest seq that is retained, head+1 if none is
    head       INTEGER NOT NULL, -- last seq, 0 for an empty stream
    terminal   INTEGER NOT NULL, -- 1 if the last event is a terminal one
    closed     INTEGER NOT NULL, -- 1 if nothing will follow
    bytes      INTEGER NOT NULL, -- of its chunks
    updated_at INTEGER NOT NULL  -- microseconds since 1970
) STRICT;
-- Retention takes the output of finished streams, the one that ended first
-- before others, and later forgets them.
CREATE INDEX streams_finished ON streams (updated_at) WHERE closed = 1 AND bytes > 0;
CREATE INDEX streams_emptied ON streams (updated_at) WHERE closed = 1 AND bytes = 0;

-- One row holds a published batch, not an event. Rows are numbered as they
-- come, so the oldest of all streams is the one with the lowest num.
CREATE TABLE chunks (
    num       INTEGER NOT NULL PRIMARY KEY,
    stream    INTEGER NOT NULL REFERENCES streams (num),
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    added_at  INTEGER NOT NULL, -- microseconds since 1970
    bytes     INTEGER NOT NULL, -- of events; kept before it, so that retention need not read it
    events    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunks_by_seq ON chunks (stream, last_seq);

-- +goose Down
DROP TABLE chunks;
DROP TABLE streams;
