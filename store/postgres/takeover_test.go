package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
)

// takeoverBound is how long a reader waits at most for the next line of a
// command whose replica died, with leases of the default length.
const takeoverBound = 5 * time.Second

// The bound holds for machines that have time for their work: of three
// takeovers at once the slowest may be the machine's fault.
func TestTakeoverIsWithinItsBound(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(3000, 10*time.Millisecond)}}
	ctx := within(t)
	survivor := newReplica(t, dsn, pods)
	var ids []string
	took := make(chan time.Duration, 3)
	for range cap(took) {
		doomed := newReplica(t, dsn, pods)
		cmd := start(t, doomed, "count")
		_, _, err := read(ctx, survivor, cmd.ID, 0, 20)
		is.NoErr(err)
		doomed.fall(t)
		fell := time.Now()
		sub, _, err := survivor.Subscribe(ctx, auth.Admin(), "app", cmd.ID, 0)
		is.NoErr(err)
		last := sub.Head().Seq // nobody publishes until it is taken over
		sub.Close()
		go func() {
			_, _, err := read(ctx, survivor, cmd.ID, last, 1)
			if err != nil {
				t.Error(err)
			}
			took <- time.Since(fell)
		}()
		ids = append(ids, cmd.ID)
	}
	all := make([]time.Duration, cap(took))
	for i := range all {
		all[i] = <-took
	}
	slices.Sort(all)
	t.Logf("taken over after %v", all)
	is.True(all[len(all)/2] <= takeoverBound)
	for _, id := range ids { // end what still runs
		_, err := survivor.Cancel(ctx, auth.Admin(), "app", id)
		is.NoErr(err)
		_, ended, err := read(ctx, survivor, id, 0, 0)
		is.NoErr(err)
		is.True(ended)
	}
}
