package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
)

// schema describes all that migrations make.
func schema(t *testing.T, dsn string) string {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `
		SELECT 'column', format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, COALESCE(column_default, ''))
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'goose_db_version'
		UNION ALL SELECT 'constraint', format('%s %s', conrelid::regclass, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version'
		UNION ALL SELECT 'relation', format('%s %s %s', relname, relkind, reloptions)
			FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose_db_version%'
		UNION ALL SELECT 'function', pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var kind, what string
		if err := rows.Scan(&kind, &what); err != nil {
			t.Fatal(err)
		}
		b.WriteString(kind + ": " + what + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMigrationsUpDownUpGiveTheSameSchema(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, nil)
	is.NoErr(postgres.Migrate(t.Context(), dsn))
	first := schema(t, dsn)
	is.True(strings.Contains(first, "column: chunks.events bytea"))
	is.NoErr(postgres.Migrate(t.Context(), dsn)) // nothing to do
	is.Equal(schema(t, dsn), first)
	is.NoErr(postgres.MigrateDown(t.Context(), dsn))
	is.Equal(schema(t, dsn), "") // nothing is left
	is.NoErr(postgres.Migrate(t.Context(), dsn))
	is.Equal(schema(t, dsn), first)
}

func TestMigrateDownDropsPartitionsToo(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	open(t, postgres.Options{DSN: dsn, PollOnly: true})
	is.NoErr(postgres.MigrateDown(t.Context(), dsn))
	is.Equal(schema(t, dsn), "")
}

func TestEightStartAtOnce(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, nil)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, PoolSize: 5})
			if err == nil {
				err = s.Close(context.Background())
			}
			errs[i] = err
		})
	}
	wg.Wait()
	is.NoErr(errors.Join(errs...))
}

func TestOpenRefusesADSNWithoutSSLMode(t *testing.T) {
	for _, dsn := range []string{
		"", "postgres://u:s3cret@127.0.0.1:1/db", "postgres://u:s3cret@127.0.0.1:1/db?sslmode=", "host=127.0.0.1 password=s3cret",
		"postgres://u:s3cret@127.0.0.1:1/db?sslmode=perhaps",
	} {
		is := is.New(t)
		_, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn})
		is.True(err != nil)
		is.True(!strings.Contains(err.Error(), "s3cret")) // no password in an error
	}
}

func TestSessionsHaveTimeouts(t *testing.T) {
	s := open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate), PollOnly: true})
	for name, want := range map[string]string{"statement_timeout": "5s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "10s"} {
		is := is.New(t)
		for _, db := range s.Pools() {
			var got string
			is.NoErr(db.GetContext(t.Context(), &got, `SHOW `+name))
			is.Equal(got, want)
		}
	}
}

func TestTimeoutsAreDeadlines(t *testing.T) {
	s := open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate), PollOnly: true})
	t.Run("OfTheServer", func(t *testing.T) {
		is := is.New(t)
		err := s.Sleep(t.Context(), time.Minute)
		is.True(errors.Is(err, context.DeadlineExceeded)) // statement_timeout
	})
	tx, err := s.DB().BeginTxx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // the server ends it, if nobody else
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE commands`); err != nil {
		t.Fatal(err)
	}
	t.Run("OfALock", func(t *testing.T) {
		is := is.New(t)
		_, err := s.Commands().Get(t.Context(), "cmd-1")
		is.True(errors.Is(err, context.DeadlineExceeded))
	})
	t.Run("OfTheContext", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := s.Commands().List(ctx, rdev.CommandFilter{}, 1)
		is.True(errors.Is(err, context.DeadlineExceeded))
	})
	t.Run("OfACancelledContext", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := s.Commands().List(ctx, rdev.CommandFilter{}, 1)
		is.True(errors.Is(err, context.Canceled))
	})
}
