-- +goose Up
CREATE INDEX commands_places_of_project ON commands (project, turn, id) WHERE state IN ('queued', 'running');
CREATE INDEX commands_places_of_key ON commands (key_id) WHERE state IN ('queued', 'running');

-- These functions are rdev.Gate.Check and rdev.Admit, which say what they mean
-- and which the other stores use: a contract suite holds them together. Each
-- statement in them has a snapshot of its own, so what is counted under a lock
-- includes what its last holder has done.
--
-- Advisory locks: 1919181825 of a key, 1919181826 of a project; a key's first.

-- +goose StatementBegin
CREATE FUNCTION rdev_key_full(p text, k text, gate int[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF gate[2] > 0 AND gate[2] <= (SELECT count(*) FROM commands
            WHERE key_id = k AND turn IS NULL AND state IN ('queued', 'running')) THEN
        RETURN 'key_commands';
    END IF;
    IF gate[3] > 0 AND gate[3] <= (SELECT count(*) FROM commands
            WHERE key_id = k AND project = p AND turn IS NULL AND state IN ('queued', 'running')) THEN
        RETURN 'key_commands_in_project';
    END IF;
    RETURN '';
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION rdev_full(p text, k text, gate int[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF gate[1] > 0 AND gate[1] <= (SELECT count(*) FROM commands
            WHERE project = p AND turn IS NULL AND state IN ('queued', 'running')) THEN
        RETURN 'project_commands';
    END IF;
    RETURN rdev_key_full(p, k, gate);
END $$;
-- +goose StatementEnd

-- rdev_enter says which limit refuses a record, '' if none, and its turn if it
-- waits. What it has counted holds until the transaction ends.
-- +goose StatementBegin
CREATE FUNCTION rdev_enter(p text, k text, gate int[], queue int, waits boolean)
RETURNS TABLE (refused text, turn bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    n bigint;
    own bigint;
    last bigint;
    own_last bigint;
BEGIN
    IF gate[2] > 0 OR gate[3] > 0 THEN
        PERFORM pg_advisory_xact_lock(1919181825, hashtext(k));
    END IF;
    PERFORM pg_advisory_xact_lock(1919181826, hashtext(p));
    IF waits THEN
        SELECT count(*), count(*) FILTER (WHERE c.key_id = k), max(c.turn), max(c.turn) FILTER (WHERE c.key_id = k)
            INTO n, own, last, own_last
            FROM commands c WHERE c.project = p AND c.turn IS NOT NULL AND c.state IN ('queued', 'running');
        IF queue > 0 AND (n >= queue OR own >= greatest(queue / 2, 1)) THEN
            RETURN QUERY SELECT 'queue', NULL::bigint;
            RETURN;
        END IF;
        RETURN QUERY SELECT '', greatest(own_last + 1, coalesce(
            (SELECT min(c.turn) FROM commands c
                WHERE c.project = p AND c.turn IS NOT NULL AND c.state IN ('queued', 'running') AND rdev_key_full(p, c.key_id, c.gate) = ''),
            last, 1));
        RETURN;
    END IF;
    refused := rdev_full(p, k, gate);
    IF refused = '' AND EXISTS (SELECT FROM commands c
            WHERE c.project = p AND c.turn IS NOT NULL AND c.state IN ('queued', 'running') AND rdev_full(p, c.key_id, c.gate) = '') THEN
        refused := 'project_commands';
    END IF;
    turn := NULL;
    RETURN NEXT;
END $$;
-- +goose StatementEnd

-- rdev_admit waits for no lock but its own rows': who admits at the same time
-- for the same project does the same work.
-- +goose StatementBegin
CREATE FUNCTION rdev_admit(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p text;
    w record;
BEGIN
    FOR p IN SELECT DISTINCT c.project FROM commands c
            WHERE c.id = ANY(ids) AND c.turn IS NOT NULL AND c.state IN ('queued', 'running') ORDER BY 1 LOOP
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(1919181826, hashtext(p));
        FOR w IN SELECT c.id, c.key_id, c.gate FROM commands c
                WHERE c.project = p AND c.turn IS NOT NULL AND c.state IN ('queued', 'running') ORDER BY c.turn, c.id LOOP
            CONTINUE WHEN rdev_full(p, w.key_id, w.gate) <> '';
            IF w.gate[2] > 0 OR w.gate[3] > 0 THEN
                EXIT WHEN NOT pg_try_advisory_xact_lock(1919181825, hashtext(w.key_id));
                CONTINUE WHEN rdev_full(p, w.key_id, w.gate) <> '';
            END IF;
            -- A lease on it is just being renewed: nobody overtakes it, and
            -- nobody waits, or two that lock several rows could wait for
            -- each other.
            PERFORM FROM commands c WHERE c.id = w.id AND c.state IN ('queued', 'running') FOR UPDATE SKIP LOCKED;
            EXIT WHEN NOT FOUND;
            UPDATE commands SET turn = NULL WHERE id = w.id;
        END LOOP;
    END LOOP;
END $$;
-- +goose StatementEnd

-- What keys have used of their rate. Unlogged: after a crash of the server they
-- begin anew, and no request waits for its disk.
CREATE UNLOGGED TABLE rates (
    key   text PRIMARY KEY,
    whole bigint NOT NULL, -- when the burst is whole again, microseconds since 1970
    taken bigint NOT NULL, -- by the last statement
    now   bigint NOT NULL  -- in it
) WITH (fillfactor = 50);

-- How many streams of a key a server has open, by a lease.
CREATE UNLOGGED TABLE seats (
    holder text NOT NULL,
    key    text NOT NULL,
    n      int NOT NULL,
    until  timestamptz NOT NULL,
    PRIMARY KEY (key, holder)
) WITH (fillfactor = 50);
CREATE INDEX seats_of_holder ON seats (holder);

-- Advisory lock 1919181827: of a key's seats.
-- +goose StatementBegin
CREATE FUNCTION rdev_hold(who text, k text, wanted int, most int, ttl interval) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1919181827, hashtext(k));
    IF wanted + (SELECT coalesce(sum(s.n), 0) FROM seats s WHERE s.key = k AND s.holder <> who AND s.until > clock_timestamp()) > most THEN
        RETURN false;
    END IF;
    INSERT INTO seats VALUES (who, k, wanted, clock_timestamp() + ttl)
        ON CONFLICT (key, holder) DO UPDATE SET n = excluded.n, until = excluded.until;
    RETURN true;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION rdev_hold(text, text, int, int, interval);
DROP TABLE seats;
DROP TABLE rates;
DROP FUNCTION rdev_admit(text[]);
DROP FUNCTION rdev_enter(text, text, int[], int, boolean);
DROP FUNCTION rdev_full(text, text, int[]);
DROP FUNCTION rdev_key_full(text, text, int[]);
DROP INDEX commands_places_of_key;
DROP INDEX commands_places_of_project;
