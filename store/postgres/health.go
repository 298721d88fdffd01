package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// A Health is what a database says of itself.
type Health struct {
	Server string // its version: "16.4"
	// Standby says that it takes no writes.
	Standby bool
	// Schema is the version of the schema that is there, 0 for none, and
	// Latest the one that this program works with.
	Schema, Latest int64
	// Now is the server's clock at a time between Asked and Answered by this
	// machine's.
	Now             time.Time
	Asked, Answered time.Time
}

// Examine connects to the database of the options and asks how it is. It
// changes nothing, the schema included. No error holds the DSN.
func Examine(ctx context.Context, opts Options) (h Health, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if h.Latest, err = latestVersion(); err != nil {
		return h, err
	}
	db, err := openPool(opts.DSN, opts.session(), 1)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// The first question opens the connection, which takes time of its own.
	var there bool
	err = db.QueryRowContext(ctx, `SELECT current_setting('server_version'), pg_is_in_recovery(), to_regclass('goose_db_version') IS NOT NULL`).
		Scan(&h.Server, &h.Standby, &there)
	if err != nil {
		return h, failed(ctx, "examine", err)
	}
	h.Asked = time.Now()
	err = db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&h.Now)
	h.Answered = time.Now()
	if err != nil || !there {
		return h, failed(ctx, "examine", err)
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&h.Schema)
	return h, failed(ctx, "examine", err)
}

// latestVersion is the highest version of the migrations in this program.
func latestVersion() (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("store/postgres: migrations: %v", err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(files[len(files)-1], "migrations/"), "_")
	return strconv.ParseInt(number, 10, 64)
}
