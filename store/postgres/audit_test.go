package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/store/postgres"
)

func TestAuditContract(t *testing.T) {
	for name, opts := range map[string]postgres.Options{"Direct": {}, "AsBehindAPooler": {Pooled: true}} {
		t.Run(name, func(t *testing.T) {
			rdevtest.Audit(t, func(t *testing.T) rdevtest.AuditSubject {
				opts.DSN = pgtest.New(t, postgres.Migrate)
				s := open(t, opts)
				return rdevtest.AuditSubject{
					Audit: s.Audit(), Commands: s.Commands(),
					Edit: func(t *testing.T, seq uint64, old, new string) {
						changeOne(t, s, `UPDATE audit SET body = convert_to(replace(convert_from(body, 'UTF8'), $2, $3), 'UTF8')
							WHERE seq = $1 AND position($2 IN convert_from(body, 'UTF8')) > 0`, int64(seq), old, new)
					},
					Delete: func(t *testing.T, seq uint64) {
						changeOne(t, s, `DELETE FROM audit WHERE seq = $1`, int64(seq))
					},
				}
			})
		})
	}
}

func changeOne(t *testing.T, s *postgres.Store, statement string, args ...any) {
	t.Helper()
	result, err := s.DB().ExecContext(t.Context(), statement, args...)
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
	s := open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate)})
	c := rdev.Command{ID: "cmd-1", Project: "web", State: rdev.StateQueued, Audit: []rdev.AuditEntry{{Event: rdev.AuditCommandIntent}}}
	_, _, err := s.Commands().Insert(t.Context(), c)
	is.NoErr(err)
	_, err = s.DB().ExecContext(t.Context(), `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more'; END $$;
		CREATE TRIGGER full_up BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()`)
	is.NoErr(err)
	for _, key := range []string{"", "again"} { // the two ways that Insert goes
		c.ID, c.IdempotencyKey = "cmd-2", key
		_, _, err = s.Commands().Insert(t.Context(), c)
		is.True(err != nil)
		_, err = s.Commands().Get(t.Context(), "cmd-2")
		is.True(errors.Is(err, rdev.ErrCommandNotFound))
	}
	_, err = s.Commands().Update(t.Context(), "cmd-1", func(c *rdev.Command) error {
		c.State, c.Audit = rdev.StateLost, []rdev.AuditEntry{{Event: rdev.AuditCommandOutcome}}
		return nil
	})
	is.True(err != nil)
	kept, err := s.Commands().Get(t.Context(), "cmd-1")
	is.NoErr(err)
	is.Equal(kept.State, rdev.StateQueued)
}

// TestReplicasBuildOneChain has several stores append to one log, as records
// change.
func TestReplicasBuildOneChain(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	const replicas, each = 3, 20
	failures := make(chan error, replicas*each)
	for r := range replicas {
		s := open(t, postgres.Options{DSN: dsn})
		go func() {
			for n := range each {
				id := rdev.NewCommandID(time.Now())
				_, _, err := s.Commands().Insert(t.Context(), rdev.Command{
					ID: id, Project: "web", State: rdev.StateRunning, CreatedAt: time.Now(),
					Audit: []rdev.AuditEntry{{Event: rdev.AuditCommandIntent, CommandID: id}},
				})
				if err == nil && n%2 == r%2 {
					_, err = s.Commands().Update(t.Context(), id, func(c *rdev.Command) error {
						c.State, c.Audit = rdev.StateLost, []rdev.AuditEntry{{Event: rdev.AuditCommandOutcome, CommandID: id}}
						return nil
					})
				}
				failures <- err
			}
		}()
	}
	for range replicas * each {
		is.NoErr(<-failures)
	}
	a, closeAudit, err := postgres.OpenAudit(t.Context(), dsn)
	is.NoErr(err)
	rows, err := a.List(t.Context(), rdev.AuditFilter{OldestFirst: true}, 1000)
	is.NoErr(err)
	head, err := a.Head(t.Context())
	is.NoErr(err)
	is.NoErr(closeAudit())
	v := rdev.NewAuditVerifier()
	for _, row := range rows {
		v.Add(row)
	}
	report := v.Finish(&head)
	is.Equal(len(report.Findings), 0)
	is.Equal(report.Rows, uint64(replicas*each*3/2))
}
