package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Versions returns the version of the schema in the file, and the one that this
// program works with. It opens the file for reading, while a Store has it open,
// too, and changes nothing. A file that is not there is fs.ErrNotExist.
func Versions(ctx context.Context, path string) (have, latest int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		return 0, 0, fmt.Errorf("store/sqlite: migrations: %v", err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(files[len(files)-1], "migrations/"), "_")
	if latest, err = strconv.ParseInt(number, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("store/sqlite: migrations: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return 0, latest, fmt.Errorf("store/sqlite: %w", err)
	}
	db, err := sql.Open("sqlite", readerDSN(path, defaultTimeout))
	if err != nil {
		return 0, latest, fmt.Errorf("store/sqlite: open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	if err != nil {
		return 0, latest, fmt.Errorf("store/sqlite: read the schema version of %s: %w", path, err)
	}
	return have, latest, nil
}
