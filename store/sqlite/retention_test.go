package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

// clock is a clock under test.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.passed.Load()))
}

func (c *clock) pass(d time.Duration) { c.passed.Add(int64(d)) }

func publish(t testing.TB, s *sqlite.Store, id string, events ...stream.Event) {
	t.Helper()
	if err := s.Broker().Publish(t.Context(), id, events); err != nil {
		t.Fatal(err)
	}
}

func head(t testing.TB, s *sqlite.Store, id string) stream.Head {
	t.Helper()
	sub, err := s.Broker().Subscribe(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	return sub.Head()
}

// gap reads a stream from its beginning to its end, holds that each event is
// either told as gone or read, and returns the first gap and how many events
// were read.
func gap(t testing.TB, s *sqlite.Store, id string) (first stream.GapError, events int) {
	t.Helper()
	sub, err := s.Broker().Subscribe(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for at, last := uint64(0), sub.Head().Seq; at < last; {
		page, err := sub.Next(t.Context())
		var g *stream.GapError
		switch {
		case errors.As(err, &g):
			if g.From != at+1 {
				t.Fatalf("told of a gap from %d to %d after event %d", g.From, g.To, at)
			}
			if first.To == 0 {
				first = *g
			}
			at = g.To
		case err != nil:
			t.Fatal(err)
		default:
			if page[0].Seq != at+1 {
				t.Fatalf("event %d comes after %d", page[0].Seq, at)
			}
			events += len(page)
			at = page[len(page)-1].Seq
		}
	}
	return first, events
}

func TestOutputIsDroppedWhenItIsTooOld(t *testing.T) {
	is := is.New(t)
	var c clock
	s := open(t, file(t), &sqlite.Options{MaxAge: time.Hour, RetainEvery: -1, Now: c.now})
	publish(t, s, "finished", batch(1, 100, 100)...)
	publish(t, s, "finished", stream.Event{Seq: 101, Kind: stream.Complete})
	publish(t, s, "running", batch(1, 10, 100)...)
	c.pass(40 * time.Minute)
	publish(t, s, "running", batch(11, 10, 100)...)
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "finished").First, uint64(1)) // it is not old yet

	c.pass(40 * time.Minute)
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "finished"), stream.Head{First: 102, Seq: 101, Closed: true, Terminal: true})
	told, events := gap(t, s, "finished")
	is.Equal(told, stream.GapError{From: 1, To: 101, Reason: stream.GapRetention})
	is.Equal(events, 0)
	told, events = gap(t, s, "running")
	is.Equal(told, stream.GapError{From: 1, To: 10, Reason: stream.GapRetention})
	is.Equal(events, 10)
	publish(t, s, "running", batch(21, 1, 1)...) // it goes on
	is.True(errors.Is(s.Broker().Publish(t.Context(), "finished", batch(102, 1, 1)), stream.ErrClosed))

	// After as long again the finished stream is forgotten; the running never.
	c.pass(2 * time.Hour)
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "finished"), stream.Head{First: 1})
	is.Equal(head(t, s, "running"), stream.Head{First: 22, Seq: 21})
}

func TestAReaderOfADroppedStreamComesToItsEnd(t *testing.T) {
	is := is.New(t)
	var c clock
	s := open(t, file(t), &sqlite.Options{MaxAge: time.Hour, RetainEvery: -1, Now: c.now})
	publish(t, s, "s", batch(1, 10, 100)...)
	publish(t, s, "s", stream.Event{Seq: 11, Kind: stream.Complete})
	c.pass(2 * time.Hour)
	is.NoErr(s.Retain(t.Context()))
	sub, err := s.Broker().Subscribe(t.Context(), "s", 4)
	is.NoErr(err)
	defer sub.Close()
	_, err = sub.Next(t.Context())
	var told *stream.GapError
	is.True(errors.As(err, &told))
	is.Equal(*told, stream.GapError{From: 5, To: 11, Reason: stream.GapRetention})
	_, err = sub.Next(t.Context())
	is.Equal(err, io.EOF)
}

func TestFinishedOutputIsDroppedBeforeThatOfRunningCommands(t *testing.T) {
	is := is.New(t)
	var c clock
	const each = 100 * 500 // bytes, a little more with their lengths; one chunk
	s := open(t, file(t), &sqlite.Options{MaxBytes: 5 * each, RetainEvery: -1, Now: c.now})
	add := func(id string, first uint64) {
		c.pass(time.Second)
		publish(t, s, id, batch(first, 100, 500)...)
	}
	add("running", 1)
	add("ended-second", 1)
	add("ended-first", 1)
	for _, id := range []string{"ended-first", "ended-second"} {
		c.pass(time.Second)
		is.NoErr(s.Broker().Close(t.Context(), id))
	}
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "ended-first").First, uint64(1)) // there is room for all

	add("running", 101)
	add("running", 201)
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "ended-first"), stream.Head{First: 101, Seq: 100, Closed: true})
	is.Equal(head(t, s, "ended-second").First, uint64(1))
	is.Equal(head(t, s, "running").First, uint64(1))

	add("running", 301)
	add("running", 401)
	add("running", 501)
	is.NoErr(s.Retain(t.Context()))
	is.Equal(head(t, s, "ended-second").First, uint64(101))
	running := head(t, s, "running")
	is.Equal(running.Seq, uint64(600))
	is.True(running.First > 1 && running.First <= 201) // its oldest had to go
	told, events := gap(t, s, "running")
	is.Equal(told.To, running.First-1)
	is.Equal(uint64(events), 600-told.To)
}

func TestTooMuchOutputIsDroppedInTheBackground(t *testing.T) {
	const limit = 1 << 20
	s := open(t, file(t), &sqlite.Options{MaxBytes: limit, RetainEvery: time.Hour})
	for n := range 100 {
		publish(t, s, "s", batch(uint64(n*512+1), 512, 100)...)
	}
	for deadline := time.Now().Add(time.Minute); bytesOf(t, s) > limit; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of output are kept, the limit is %d", bytesOf(t, s), limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	// What goes while this reads is told as a second gap.
	if told, events := gap(t, s, "s"); told.To == 0 || events == 0 {
		t.Fatalf("told of a gap to %d, and got %d events", told.To, events)
	}
}

// bytesOf returns how much output is stored, and checks that the sums agree.
func bytesOf(t testing.TB, s *sqlite.Store) int64 {
	t.Helper()
	var streams, chunks, exact int64
	err := s.Writer().QueryRowContext(t.Context(), `SELECT (SELECT coalesce(sum(bytes), 0) FROM streams),
		(SELECT coalesce(sum(bytes), 0) FROM chunks), (SELECT coalesce(sum(length(events)), 0) FROM chunks)`).Scan(&streams, &chunks, &exact)
	if err != nil {
		t.Fatal(err)
	}
	if streams != chunks || chunks != exact {
		t.Fatalf("streams say %d bytes, chunks %d, and hold %d", streams, chunks, exact)
	}
	return streams
}

func TestFreedPagesAreGivenBack(t *testing.T) {
	is := is.New(t)
	var c clock
	path := file(t)
	s := open(t, path, &sqlite.Options{MaxAge: time.Hour, RetainEvery: -1, Now: c.now})
	for n := range 200 {
		publish(t, s, fmt.Sprint("s", n), batch(1, 512, 100)...)
	}
	_, err := s.Writer().ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	is.NoErr(err)
	before, err := os.Stat(path)
	is.NoErr(err)
	is.True(before.Size() > 10<<20)
	c.pass(2 * time.Hour)
	is.NoErr(s.Retain(t.Context()))
	after, err := os.Stat(path)
	is.NoErr(err)
	if after.Size() > before.Size()/8 {
		t.Fatalf("the file has %d bytes, and had %d", after.Size(), before.Size())
	}
}

func TestOldRecordsAreDeletedOnceTheyHaveEnded(t *testing.T) {
	var c clock
	add := func(t *testing.T, s *sqlite.Store) {
		is := is.New(t)
		for _, id := range []string{"cmd-ended", "cmd-running"} {
			_, _, err := s.Commands().Insert(t.Context(), rdev.Command{ID: id, State: rdev.StateQueued, CreatedAt: c.now()})
			is.NoErr(err)
		}
		_, err := s.Commands().Update(t.Context(), "cmd-ended", func(r *rdev.Command) error {
			r.State, r.EndedAt = rdev.StateFailed, c.now()
			return nil
		})
		is.NoErr(err)
	}
	t.Run("AfterMaxAge", func(t *testing.T) {
		is := is.New(t)
		s := open(t, file(t), &sqlite.Options{MaxAge: time.Hour, RetainEvery: -1, Now: c.now})
		add(t, s)
		is.NoErr(s.Retain(t.Context()))
		_, err := s.Commands().Get(t.Context(), "cmd-ended")
		is.NoErr(err)
		c.pass(2 * time.Hour)
		is.NoErr(s.Retain(t.Context()))
		_, err = s.Commands().Get(t.Context(), "cmd-ended")
		is.True(errors.Is(err, rdev.ErrCommandNotFound))
		_, err = s.Commands().Get(t.Context(), "cmd-running")
		is.NoErr(err)
	})
	t.Run("NeverIfSoConfigured", func(t *testing.T) {
		is := is.New(t)
		s := open(t, file(t), &sqlite.Options{MaxAge: time.Hour, CommandAge: -1, RetainEvery: -1, Now: c.now})
		add(t, s)
		c.pass(1000 * time.Hour)
		is.NoErr(s.Retain(t.Context()))
		_, err := s.Commands().Get(t.Context(), "cmd-ended")
		is.NoErr(err)
	})
}

func TestWithoutLimitsNothingIsDropped(t *testing.T) {
	is := is.New(t)
	var c clock
	s := open(t, file(t), &sqlite.Options{MaxAge: -1, MaxBytes: -1, RetainEvery: -1, Now: c.now})
	publish(t, s, "s", batch(1, 512, 100)...)
	is.NoErr(s.Broker().Close(t.Context(), "s"))
	c.pass(100_000 * time.Hour)
	is.NoErr(s.Retain(t.Context()))
	told, events := gap(t, s, "s")
	is.Equal(told.To, uint64(0))
	is.Equal(events, 512)
}

// TestReadersAreToldWhatRetentionTakes has a reader follow a stream of which
// retention takes the beginning all the time.
func TestReadersAreToldWhatRetentionTakes(t *testing.T) {
	s := open(t, file(t), &sqlite.Options{
		MaxBytes: 64 << 10, RetainEvery: time.Hour,
		Hub: stream.HubConfig{StreamBytes: 1, TotalBytes: 1},
	})
	const events = 20_000
	published := make(chan error, 1)
	go func() {
		for first := uint64(1); first < events; first += 100 {
			if err := s.Broker().Publish(context.Background(), "s", batch(first, 100, 50)); err != nil {
				published <- err
				return
			}
		}
		published <- s.Broker().Close(context.Background(), "s")
	}()
	sub, err := s.Broker().Subscribe(t.Context(), "s", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for at := uint64(0); ; {
		page, err := sub.Next(t.Context())
		var told *stream.GapError
		switch {
		case errors.As(err, &told):
			if told.From != at+1 || told.To < told.From || told.Reason != stream.GapRetention {
				t.Fatalf("after %d: %v", at, told)
			}
			at = told.To
		case err == io.EOF:
			if at != events {
				t.Fatalf("the end came after %d", at)
			}
			if err := <-published; err != nil {
				t.Fatal(err)
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		for _, e := range page {
			if at++; e.Seq != at {
				t.Fatalf("got seq %d, want %d", e.Seq, at)
			}
		}
	}
}
