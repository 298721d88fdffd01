package postgres

import (
	"context"
	"errors"
)

// OpenAudit opens the audit log of a database, beside any servers that work on
// it. Call close when done.
func OpenAudit(ctx context.Context, dsn string) (_ *Audit, close func() error, err error) {
	db, err := openPool(dsn, session{binary: true}, 1)
	if err != nil {
		return nil, nil, err
	}
	var there bool
	if err := db.GetContext(ctx, &there, `SELECT to_regclass('audit_head') IS NOT NULL`); err != nil {
		return nil, nil, errors.Join(failed(ctx, "open audit", err), db.Close())
	}
	if !there {
		return nil, nil, errors.Join(ErrNoAudit, db.Close())
	}
	return &Audit{db: db}, db.Close, nil
}

// ErrNoAudit: the database has no audit log.
var ErrNoAudit = errors.New("store/postgres: there is no audit log in the database")
