-- +goose Up
-- The log is a chain: each hash covers its row and the hash of the row before.
-- Rows are only ever added at the end, and removed at the beginning.
CREATE TABLE audit (
    seq     bigint PRIMARY KEY,
    at      bigint NOT NULL, -- microseconds since 1970
    project text NOT NULL,
    key_id  text NOT NULL,
    body    bytea NOT NULL, -- JSON
    prev    bytea NOT NULL,
    hash    bytea NOT NULL
);
CREATE INDEX audit_by_project ON audit (project, seq);
CREATE INDEX audit_by_key ON audit (key_id, seq);

-- One row: where the log ends, and where it begins. Whoever appends locks it
-- until the end of the transaction, so all servers build one chain.
CREATE TABLE audit_head (
    one         integer PRIMARY KEY CHECK (one = 1),
    seq         bigint NOT NULL,
    at          bigint NOT NULL,
    hash        bytea NOT NULL,
    pruned_seq  bigint NOT NULL,
    pruned_hash bytea NOT NULL
) WITH (fillfactor = 10);
INSERT INTO audit_head VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

-- Appends entries, in the server, so that the lock is held for no round trip.
-- It has to be the last that a transaction does.
-- +goose StatementBegin
CREATE FUNCTION audit_append(projects text[], keys text[], bodies bytea[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    previous bytea;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    head.at := greatest(head.at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    FOR i IN 1 .. coalesce(array_length(bodies, 1), 0) LOOP
        previous := head.hash;
        head.seq := head.seq + 1;
        head.hash := sha256(previous || int8send(head.seq) || int8send(head.at) || bodies[i]);
        INSERT INTO audit (seq, at, project, key_id, body, prev, hash)
            VALUES (head.seq, head.at, projects[i], keys[i], bodies[i], previous, head.hash);
    END LOOP;
    UPDATE audit_head SET seq = head.seq, at = head.at, hash = head.hash;
    RETURN head.seq;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION audit_append(text[], text[], bytea[]);
DROP TABLE audit_head;
DROP TABLE audit;
