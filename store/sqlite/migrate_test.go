package sqlite_test

import (
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/store/sqlite"
)

// schema returns what the file's tables and indexes were made with.
func schema(t *testing.T, s *sqlite.Store) string {
	t.Helper()
	rows, err := s.Writer().QueryContext(t.Context(), `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
		WHERE name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func TestMigrationsUpDownUpLeaveTheSameSchema(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	before := schema(t, s)
	is.True(strings.Contains(before, "CREATE TABLE chunks"))
	m, err := sqlite.Migrator(t, path)
	is.NoErr(err)
	_, err = m.DownTo(t.Context(), 0)
	is.NoErr(err)
	is.Equal(schema(t, s), "")
	_, err = m.Up(t.Context())
	is.NoErr(err)
	is.Equal(schema(t, s), before)
}

func TestANewerSchemaIsRefused(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	_, err := s.Writer().ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	is.NoErr(err)
	closeStore(t, s)
	_, err = sqlite.Open(t.Context(), path, nil)
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "schema version 9999"))
	is.True(strings.Contains(err.Error(), path))
}

func TestTheFileIsSetUpAsDocumented(t *testing.T) {
	is := is.New(t)
	s := open(t, file(t), nil)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "auto_vacuum": "2", "busy_timeout": "5000", "secure_delete": "2",
	} {
		var got string
		is.NoErr(s.Writer().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}
