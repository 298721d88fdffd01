package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"
)

// A session is the connection that writes, for whoever has its turn. Statements
// are prepared once, because that takes longer than to run one: every query has
// to be a constant, and none a PRAGMA, some of which act while they are prepared
// (conn is for those).
type session struct {
	conn     *sqlx.Conn
	prepared map[string]*sqlx.Stmt
}

// close gives the connection back to its pool, without the statements: as long as
// there is one, SQLite keeps the file open.
func (s *session) close() error {
	var errs []error
	for _, statement := range s.prepared {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

func (s *session) statement(ctx context.Context, query string) (*sqlx.Stmt, error) {
	if statement := s.prepared[query]; statement != nil {
		return statement, nil
	}
	statement, err := s.conn.PreparexContext(ctx, query)
	if err == nil {
		s.prepared[query] = statement
	}
	return statement, err
}

// ExecContext runs a query that answers nothing.
func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	statement, err := s.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(ctx, args...)
}

// GetContext scans the first row into dest.
func (s *session) GetContext(ctx context.Context, dest any, query string, args ...any) error {
	statement, err := s.statement(ctx, query)
	if err != nil {
		return err
	}
	return statement.GetContext(ctx, dest, args...)
}

// SelectContext scans all rows into dest.
func (s *session) SelectContext(ctx context.Context, dest any, query string, args ...any) error {
	statement, err := s.statement(ctx, query)
	if err != nil {
		return err
	}
	return statement.SelectContext(ctx, dest, args...)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// QueryRowContext returns the first row.
func (s *session) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	statement, err := s.statement(ctx, query)
	if err != nil {
		return failedRow{err}
	}
	return statement.QueryRowContext(ctx, args...)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }
