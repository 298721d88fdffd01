package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// OpenAudit opens the audit log of a file for reading, also while a Store in
// another process has the file open; not while one in this process has. A file
// of another version may be ErrNoAudit. Call close when done.
func OpenAudit(ctx context.Context, path string) (_ *Audit, close func() error, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("store/sqlite: open %s: %w", path, err)
	}
	// A connection that may only read cannot make the files beside it that WAL
	// needs.
	pool, err := openPool(ctx, dsn(path, defaultTimeout, url.Values{"mode": {"rw"}, "_query_only": {"1"}}), 1)
	if err != nil {
		return nil, nil, fmt.Errorf("store/sqlite: open %s: %w", path, err)
	}
	a := &Audit{read: pool, limit: defaultTimeout}
	var tables int
	if err := pool.GetContext(ctx, &tables, `SELECT count(*) FROM sqlite_schema WHERE name = 'audit_head'`); err != nil || tables == 0 {
		if err == nil {
			err = ErrNoAudit
		}
		return nil, nil, errors.Join(fmt.Errorf("store/sqlite: open %s: %w", path, err), pool.Close())
	}
	return a, pool.Close, nil
}

// ErrNoAudit: the file has no audit log.
var ErrNoAudit = errors.New("there is no audit log in it")
