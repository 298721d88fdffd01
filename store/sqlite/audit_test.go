package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/store/sqlite"
)

func TestAudit(t *testing.T) {
	rdevtest.Audit(t, func(t *testing.T) rdevtest.AuditSubject {
		s := open(t, file(t), nil)
		return rdevtest.AuditSubject{
			Audit: s.Audit(), Commands: s.Commands(),
			Edit: func(t *testing.T, seq uint64, old, new string) {
				changeOne(t, s, `UPDATE audit SET body = CAST(replace(CAST(body AS TEXT), ?2, ?3) AS BLOB)
					WHERE seq = ?1 AND instr(CAST(body AS TEXT), ?2) > 0`, int64(seq), old, new)
			},
			Delete: func(t *testing.T, seq uint64) {
				changeOne(t, s, `DELETE FROM audit WHERE seq = ?`, int64(seq))
			},
		}
	})
}

func changeOne(t *testing.T, s *sqlite.Store, statement string, args ...any) {
	t.Helper()
	result, err := s.Writer().ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d rows were changed, %v", n, err)
	}
}

// TestARecordWithoutItsAuditRowIsNotStored makes the log refuse rows.
func TestARecordWithoutItsAuditRowIsNotStored(t *testing.T) {
	is := is.New(t)
	s := open(t, file(t), nil)
	c := rdev.Command{ID: "cmd-1", Project: "web", State: rdev.StateQueued, Audit: []rdev.AuditEntry{{Event: rdev.AuditCommandIntent}}}
	_, _, err := s.Commands().Insert(t.Context(), c)
	is.NoErr(err)
	_, err = s.Writer().ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no more'); END`)
	is.NoErr(err)
	c.ID = "cmd-2"
	_, _, err = s.Commands().Insert(t.Context(), c)
	is.True(err != nil)
	_, err = s.Commands().Get(t.Context(), "cmd-2")
	is.True(errors.Is(err, rdev.ErrCommandNotFound))
	_, err = s.Commands().Update(t.Context(), "cmd-1", func(c *rdev.Command) error {
		c.State, c.Audit = rdev.StateLost, []rdev.AuditEntry{{Event: rdev.AuditCommandOutcome}}
		return nil
	})
	is.True(err != nil)
	kept, err := s.Commands().Get(t.Context(), "cmd-1")
	is.NoErr(err)
	is.Equal(kept.State, rdev.StateQueued)
}

// TestOpenAuditReadsBesideAndAfterAServer: the log can be read while the file
// is in use, and when it is not.
func TestOpenAuditReadsBesideAndAfterAServer(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	is.NoErr(s.Audit().Append(t.Context(), rdev.AuditEntry{Event: rdev.AuditRefused}))
	closeStore(t, s)
	a, closeAudit, err := sqlite.OpenAudit(t.Context(), path)
	is.NoErr(err)
	rows, err := a.List(t.Context(), rdev.AuditFilter{}, 10)
	is.NoErr(err)
	is.Equal(len(rows), 1)
	is.True(a.Append(t.Context(), rdev.AuditEntry{}) != nil) // it only reads
	is.NoErr(closeAudit())

	_, _, err = sqlite.OpenAudit(t.Context(), filepath.Join(t.TempDir(), "none.db"))
	is.True(err != nil)
}
