-- +goose Up
-- What keys have used of their rate.
CREATE TABLE rates (
    key   TEXT    NOT NULL PRIMARY KEY,
    whole INTEGER NOT NULL -- when the burst is whole again, microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX rates_by_whole ON rates (whole);

-- +goose Down
DROP TABLE rates;
