package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/stream"
)

// age makes all output that is stored by now as old as days, in the partition
// of that time.
func age(t *testing.T, s *postgres.Store, days int) (partition string) {
	t.Helper()
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
	partition = "chunks_" + day.Format("20060102")
	for _, statement := range []string{
		fmt.Sprintf(`CREATE TABLE %s PARTITION OF chunks FOR VALUES FROM ('%s') TO ('%s')`,
			partition, day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)),
		fmt.Sprintf(`WITH old AS (DELETE FROM chunks RETURNING stream_id, first, last, events)
			INSERT INTO chunks (stream_id, first, last, events, created_at) SELECT stream_id, first, last, events, '%s' FROM old`,
			day.Add(time.Hour).Format(time.RFC3339)),
	} {
		if _, err := s.DB().Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return partition
}

func TestRetentionDropsTheDayAndTellsTheGap(t *testing.T) {
	is := is.New(t)
	ctx := within(t)
	dsn := pgtest.New(t, postgres.Migrate)
	writer := open(t, postgres.Options{DSN: dsn, MaxAge: 5 * 24 * time.Hour})
	is.NoErr(writer.Broker().Publish(ctx, "cmd-long", batch(1, 700)))
	partition := age(t, writer, 10)
	is.NoErr(writer.Broker().Publish(ctx, "cmd-long", batch(701, 50)))
	reader := open(t, postgres.Options{DSN: dsn, MaxAge: 5 * 24 * time.Hour})

	sub, err := reader.Broker().Subscribe(ctx, "cmd-long", 300) // in the middle of it
	is.NoErr(err)
	defer sub.Close()
	is.NoErr(writer.Retain(ctx))
	var left int
	is.NoErr(writer.DB().Get(&left, `SELECT count(*) FROM pg_class WHERE relname = $1`, partition))
	is.Equal(left, 0) // dropped whole
	is.NoErr(writer.DB().Get(&left, `SELECT count(*) FROM chunks`))
	is.True(left > 0) // what is young stays

	is.Equal(afterGapOf(ctx, t, sub, 301, 700), uint64(750))
	fresh, err := reader.Broker().Subscribe(ctx, "cmd-long", 0)
	is.NoErr(err)
	defer fresh.Close()
	is.Equal(afterGapOf(ctx, t, fresh, 1, 700), uint64(750))
}

// afterGapOf reads on until event 750: the first answer has to be the gap, and
// what comes then begins right behind it.
func afterGapOf(ctx context.Context, t *testing.T, sub *stream.Subscription, from, to uint64) (last uint64) {
	t.Helper()
	_, err := sub.Next(ctx)
	var gap *stream.GapError
	if !errors.As(err, &gap) || gap.From != from || gap.To != to {
		t.Fatalf("got %v, want the gap from %d to %d", err, from, to)
	}
	for last = to; last < 750; {
		events, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if events[0].Seq != last+1 {
			t.Fatalf("got %d after %d", events[0].Seq, last)
		}
		last = events[len(events)-1].Seq
	}
	return last
}

func TestRetentionKeepsWhatIsYoungerAndMakesDaysAhead(t *testing.T) {
	is := is.New(t)
	ctx := within(t)
	s := open(t, postgres.Options{DSN: pgtest.New(t, postgres.Migrate), MaxAge: 5 * 24 * time.Hour})
	is.NoErr(s.Broker().Publish(ctx, "cmd-young", batch(1, 10)))
	partition := age(t, s, 4)
	is.NoErr(s.Retain(ctx))
	is.NoErr(s.Retain(ctx)) // twice is once
	var left int
	is.NoErr(s.DB().Get(&left, `SELECT count(*) FROM pg_class WHERE relname = $1`, partition))
	is.Equal(left, 1)
	tomorrow := "chunks_" + time.Now().UTC().AddDate(0, 0, 1).Format("20060102")
	is.NoErr(s.DB().Get(&left, `SELECT count(*) FROM pg_class WHERE relname = $1`, tomorrow))
	is.Equal(left, 1)
	is.NoErr(readTo(ctx, s, "cmd-young", 0, 10))
}
