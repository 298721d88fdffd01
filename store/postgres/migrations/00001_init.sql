-- +goose Up
CREATE TABLE keys (
    id           text PRIMARY KEY,
    name         text NOT NULL,
    hash         bytea NOT NULL,
    algorithm    text NOT NULL,
    scopes       text[] NOT NULL,
    projects     text[] NOT NULL,
    addresses    text[] NOT NULL,
    policy       text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    replaces     text,
    replaced_by  text
);
CREATE INDEX keys_newest ON keys (created_at DESC, id COLLATE "C" DESC);

-- Apart from the keys, so that their use does not write, lock or announce them;
-- no foreign key, which would lock them too. Keys are never deleted.
CREATE TABLE key_usage (
    key_id       text PRIMARY KEY,
    last_used_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What is asked for by a query is a column; the whole record is in doc, as
-- bytes, because text cannot hold everything that a program may print.
CREATE TABLE commands (
    id              text COLLATE "C" PRIMARY KEY,
    project         text NOT NULL,
    type            text NOT NULL,
    state           text NOT NULL,
    key_id          text NOT NULL,
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    idempotency_key text,
    cancel          boolean NOT NULL DEFAULT false,
    version         bigint NOT NULL DEFAULT 1,
    owner           text,
    lease_until     timestamptz,
    turn            bigint,  -- of one that waits for a place
    gate            int[],   -- which places there are for it: rdev.Gate without Queue
    claude_session  text,    -- of an ended claude that named one
    doc             bytea NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX commands_of_session ON commands (claude_session, id DESC) WHERE claude_session IS NOT NULL;
CREATE INDEX commands_of_project ON commands (project, id DESC);
CREATE INDEX commands_ended ON commands (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX commands_unfinished ON commands (id) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX commands_idempotency ON commands (key_id, project, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE streams (
    id         text PRIMARY KEY,
    first      bigint NOT NULL DEFAULT 1,
    head       bigint NOT NULL DEFAULT 0,
    last_chunk bigint NOT NULL DEFAULT 0,
    terminal   boolean NOT NULL DEFAULT false,
    closed     boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX streams_by_age ON streams (created_at);

-- Partitions by day are made and dropped by the store.
CREATE TABLE chunks (
    stream_id  text NOT NULL,
    first      bigint NOT NULL,
    last       bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    events     bytea NOT NULL,
    PRIMARY KEY (stream_id, first, created_at)
) PARTITION BY RANGE (created_at);
ALTER TABLE chunks ALTER COLUMN events SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE chunks;
DROP TABLE streams;
DROP TABLE commands;
DROP TABLE key_usage;
DROP TABLE keys;
