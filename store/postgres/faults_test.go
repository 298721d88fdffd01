package postgres_test

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
)

func host(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// via is the DSN through a proxy.
func via(t *testing.T, dsn, addr string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = addr
	return u.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: not %s", what)
		}
	}
}

func wokenBy(t *testing.T, s *postgres.Store, want postgres.Wakeups) {
	t.Helper()
	eventually(t, "woken by "+string(want), func() bool { return s.Wakeups() == want })
}

func TestReadersOutliveTheListenConnection(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	var refuse atomic.Bool
	proxy := faultproxy.New(t, host(t, dsn), func(int) faultproxy.Fault { return faultproxy.Fault{Refuse: refuse.Load()} })
	writer := open(t, postgres.Options{DSN: dsn})
	reader := open(t, postgres.Options{DSN: dsn, ListenDSN: via(t, dsn, proxy.Addr()), OnError: func(error) {}})
	ctx := within(t)
	var at uint64
	arrives := func() {
		t.Helper()
		is.NoErr(writer.Broker().Publish(ctx, "s", batch(at+1, 10)))
		is.NoErr(readTo(ctx, reader, "s", at, at+10))
		at += 10
	}
	wokenBy(t, reader, postgres.WakeupsNotify)
	arrives()

	_, err := writer.DB().ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query ILIKE 'listen%'`)
	is.NoErr(err)
	arrives()
	wokenBy(t, reader, postgres.WakeupsNotify)

	proxy.Freeze()
	arrives()
	wokenBy(t, reader, postgres.WakeupsPoll)
	arrives()
	proxy.Thaw()
	wokenBy(t, reader, postgres.WakeupsNotify)
	arrives()

	refuse.Store(true)
	proxy.CutAll()
	wokenBy(t, reader, postgres.WakeupsPoll)
	arrives()
	refuse.Store(false)
	wokenBy(t, reader, postgres.WakeupsNotify)
	arrives()
}

// away runs a command through one replica while the database is away, as down
// and up have it, and reads it through another.
func away(t *testing.T, down, up func(*pgtest.Server), pause time.Duration) {
	is := is.New(t)
	const lines = 300
	server := pgtest.Start(t, pgtest.Options{Fsync: true})
	dsn := server.Database(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(lines, 10*time.Millisecond)}}
	a, b := newReplica(t, dsn, pods), newReplica(t, dsn, pods)
	cmd := start(t, a, "count")
	acknowledged, _, err := read(within(t), b, cmd.ID, 0, 20)
	is.NoErr(err)
	down(server)
	time.Sleep(pause)
	back := time.Now()
	up(server)
	var at uint64 // a reader whose stream fails goes on where it was
	ended := false
	ctx := within(t)
	for !ended && ctx.Err() == nil {
		found, end, err := read(ctx, b, cmd.ID, at, 0)
		at, ended = at+uint64(len(found)), end
		for i, e := range found {
			if n := int(at) - len(found) + i; n < len(acknowledged) {
				is.Equal(string(e.Data), string(acknowledged[n].Data)) // nothing acknowledged has changed
			}
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	is.Equal(at, uint64(lines+1)) // every line once, and one end
	var got rdev.Command
	eventually(t, "recorded", func() bool {
		got, err = b.Get(ctx, auth.Admin(), "app", cmd.ID)
		return err == nil && got.State.Terminal()
	})
	is.Equal(got.State, rdev.StateSucceeded)
	is.True(got.Result.Ended.Before(back)) // it went on meanwhile
}

func TestPostgresThatStandsStillLosesNothing(t *testing.T) {
	away(t, (*pgtest.Server).Freeze, (*pgtest.Server).Thaw, 10*time.Second)
}

func TestPostgresThatCrashesLosesNothing(t *testing.T) {
	away(t, (*pgtest.Server).Kill, (*pgtest.Server).Restart, 6*time.Second)
}

func TestLostAnswerOfACommitDoesNotDuplicate(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	proxy := faultproxy.New(t, host(t, dsn), nil)
	writer := open(t, postgres.Options{DSN: via(t, dsn, proxy.Addr()), ListenDSN: dsn, OnError: func(error) {}})
	reader := open(t, postgres.Options{DSN: dsn})
	ctx := within(t)
	is.NoErr(writer.Broker().Publish(ctx, "s", batch(1, 10)))
	proxy.DropAnswers(true)
	err := writer.Broker().Publish(ctx, "s", batch(11, 10))
	is.True(err != nil)
	var head int
	is.NoErr(reader.DB().GetContext(ctx, &head, `SELECT head FROM streams WHERE id = 's'`))
	is.Equal(head, 20) // it was committed
	proxy.DropAnswers(false)
	eventually(t, "published", func() bool { return writer.Broker().Publish(ctx, "s", batch(11, 10)) == nil })
	is.NoErr(writer.Broker().Publish(ctx, "s", batch(21, 10)))
	for _, s := range []*postgres.Store{writer, reader} {
		sub, err := s.Broker().Subscribe(ctx, "s", 0)
		is.NoErr(err)
		defer sub.Close()
		for want := uint64(1); want <= 30; {
			events, err := sub.Next(ctx)
			is.NoErr(err)
			for _, e := range events {
				is.Equal(e.Seq, want)
				want++
			}
		}
	}
	var rows int
	is.NoErr(reader.DB().GetContext(ctx, &rows, `SELECT sum(last - first + 1) FROM chunks WHERE stream_id = 's'`))
	is.Equal(rows, 30) // none is stored twice
}

func TestAZombieOwnerChangesNothing(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	proxy := faultproxy.New(t, host(t, dsn), nil)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(300, 10*time.Millisecond)}}
	zombie, heir := newReplica(t, via(t, dsn, proxy.Addr()), pods), newReplica(t, dsn, pods)
	cmd := start(t, zombie, "count")
	_, _, err := read(within(t), heir, cmd.ID, 0, 10)
	is.NoErr(err)
	proxy.Freeze()
	before, ended, err := read(within(t), heir, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	var record rdev.Command
	eventually(t, "recorded", func() bool {
		record, err = heir.Get(t.Context(), auth.Admin(), "app", cmd.ID)
		return err == nil && record.State.Terminal()
	})
	proxy.Thaw()
	zombie.leave(t) // when it has done all that it still wants to
	after, _, err := read(within(t), heir, cmd.ID, 0, 0)
	is.NoErr(err)
	is.Equal(len(after), 301)
	is.Equal(after, before)
	same, err := heir.Get(t.Context(), auth.Admin(), "app", cmd.ID)
	is.NoErr(err)
	is.Equal(same, record)
}
