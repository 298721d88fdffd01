package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Time limits. The server's are below the caller's, so that it is the server
// that ends a statement and the connection stays good.
const (
	queryTimeout = 8 * time.Second // of one call, if the caller has no shorter one

	sessionTimeouts = `SET statement_timeout = '5s'; SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '10s'`
)

var namesSSLMode = regexp.MustCompile(`(^|[?&\s])sslmode=\S`)

// checkDSN refuses a DSN without an explicit sslmode: the driver's default
// differs between its versions.
func checkDSN(dsn string) error {
	if dsn == "" {
		return errors.New("store/postgres: the DSN is empty")
	}
	if !namesSSLMode.MatchString(dsn) {
		return errors.New("store/postgres: the DSN must set sslmode (verify-full in production, disable on a trusted host)")
	}
	return nil
}

// A session says how connections are to be.
type session struct {
	setup string // statements at their beginning
	// binary sends the parameters of a query with the query, and bytes as they
	// are: one round trip, on one connection of a pooler. Results are text
	// then; without it, bytes come back as they are.
	binary bool
	// patient connections wait for an answer for as long as it takes.
	patient bool
}

// session returns what the statements of every day get.
func (o Options) session() session {
	if o.Pooled {
		return session{binary: true}
	}
	return session{setup: sessionTimeouts}
}

// connector adds the session's settings to what lib/pq does.
type connector struct {
	*pq.Connector
	setup string
}

func newConnector(dsn string, s session) (*connector, error) {
	if err := checkDSN(dsn); err != nil {
		return nil, err
	}
	config, err := pq.NewConfig(dsn)
	if err != nil {
		// The driver's text may quote the DSN, and with it the password.
		return nil, errors.New("store/postgres: the DSN cannot be parsed")
	}
	config.BinaryParameters = config.BinaryParameters || s.binary
	c, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, errors.New("store/postgres: the DSN cannot be used")
	}
	if !s.patient {
		c.Dialer(impatientDialer{})
	}
	return &connector{Connector: c, setup: s.setup}, nil
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil || c.setup == "" {
		return conn, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("store/postgres: the driver's connection takes no statements"), conn.Close())
	}
	if _, err := execer.ExecContext(ctx, c.setup, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("store/postgres: set timeouts: %w", err), conn.Close())
	}
	return conn, nil
}

func openPool(dsn string, s session, size int) (*sqlx.DB, error) {
	c, err := newConnector(dsn, s)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return sqlx.NewDb(db, "postgres"), nil
}

// deadline gives a call its time limit.
func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, queryTimeout)
}

// failed says what failed. The driver reports the end of a context, and a
// statement that ran too long, in words of its own; callers get the context's.
func failed(ctx context.Context, op string, err error) error {
	var pqErr *pq.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("store/postgres: %s: %w (%v)", op, ctx.Err(), err)
	case errors.As(err, &pqErr) && (pqErr.Code == "57014" || pqErr.Code == "55P03"): // query_canceled, lock_not_available
		return fmt.Errorf("store/postgres: %s: %w (%v)", op, context.DeadlineExceeded, err)
	}
	return fmt.Errorf("store/postgres: %s: %w", op, err)
}

// isCode reports whether err is the server's error with this SQLSTATE.
func isCode(err error, code string) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && string(pqErr.Code) == code
}
