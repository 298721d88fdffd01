package stream_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream"
)

// batch returns output events from first to last, the last one terminal if end
// is set. Their Data tells their number.
func batch(first, last uint64, end bool) []stream.Event {
	var events []stream.Event
	for seq := first; seq <= last; seq++ {
		e := stream.Event{Seq: seq, Kind: stream.Output, Data: fmt.Appendf(nil, `{"line":"line %d","stream":"stdout"}`, seq)}
		if end && seq == last {
			e.Kind = stream.Complete
		}
		events = append(events, e)
	}
	return events
}

func TestMemoryReplaysAndFollows(t *testing.T) {
	is := is.New(t)
	m := stream.NewMemory(stream.MemoryConfig{})
	defer m.Shutdown()
	is.NoErr(m.Publish(t.Context(), "cmd-1", batch(1, 3, false)))
	sub, err := m.Subscribe(t.Context(), "cmd-1", 1)
	is.NoErr(err)
	defer sub.Close()
	is.NoErr(m.Publish(t.Context(), "cmd-1", batch(2, 5, true)))
	var got []stream.Event
	for {
		events, err := sub.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		is.NoErr(err)
		got = append(got, events...)
	}
	is.Equal(got, batch(2, 5, true))
	is.Equal(sub.Head(), stream.Head{First: 1, Seq: 5, Closed: true, Terminal: true})
}

func TestMemoryForgetsTheOldestFinishedStreamFirst(t *testing.T) {
	ctx := t.Context()
	t.Run("Events", func(t *testing.T) {
		is := is.New(t)
		m := stream.NewMemory(stream.MemoryConfig{StreamBytes: 3_000, TotalBytes: 6_000})
		defer m.Shutdown()
		is.NoErr(m.Publish(ctx, "open", batch(1, 20, false)))
		for n := range 10 {
			is.NoErr(m.Publish(ctx, fmt.Sprint("done-", n), batch(1, 20, true)))
			is.True(m.Stats().Bytes <= 6_000)
		}
		first := func(id string) uint64 {
			sub, err := m.Subscribe(ctx, id, 0)
			is.NoErr(err)
			defer sub.Close()
			return sub.Head().First
		}
		is.Equal(first("open"), uint64(1))    // all there
		is.Equal(first("done-9"), uint64(1))  // all there
		is.Equal(first("done-0"), uint64(21)) // all gone
		is.Equal(first("done-1"), uint64(21))

		// Its numbers are not forgotten.
		is.NoErr(m.Publish(ctx, "done-0", batch(1, 20, true)))
		is.True(errors.Is(m.Publish(ctx, "done-0", batch(21, 21, false)), stream.ErrClosed))
		sub, err := m.Subscribe(ctx, "done-0", 3)
		is.NoErr(err)
		defer sub.Close()
		_, err = sub.Next(ctx)
		var gap *stream.GapError
		is.True(errors.As(err, &gap))
		is.Equal(*gap, stream.GapError{From: 4, To: 20, Reason: stream.GapRetention})
		_, err = sub.Next(ctx)
		is.True(errors.Is(err, io.EOF))
	})
	t.Run("Streams", func(t *testing.T) {
		is := is.New(t)
		m := stream.NewMemory(stream.MemoryConfig{Streams: 5})
		defer m.Shutdown()
		behind, err := m.Subscribe(ctx, "done-0", 0)
		is.NoErr(err)
		defer behind.Close()
		for n := range 20 {
			is.NoErr(m.Publish(ctx, fmt.Sprint("done-", n), batch(1, 3, true)))
		}
		is.NoErr(m.Publish(ctx, "open", batch(1, 3, false)))
		is.Equal(m.Stats().Streams, 6)
		_, err = behind.Next(ctx) // even a reader of a forgotten stream is told
		var gap *stream.GapError
		is.True(errors.As(err, &gap))
		is.Equal(*gap, stream.GapError{From: 1, To: 3, Reason: stream.GapRetention})
		_, err = behind.Next(ctx)
		is.True(errors.Is(err, io.EOF))
		is.NoErr(m.Publish(ctx, "done-0", batch(1, 3, true))) // it begins anew
	})
	t.Run("Unread", func(t *testing.T) {
		is := is.New(t)
		m := stream.NewMemory(stream.MemoryConfig{})
		defer m.Shutdown()
		for n := range 100 {
			sub, err := m.Subscribe(ctx, fmt.Sprint("never-", n), 0)
			is.NoErr(err)
			sub.Close()
			m.Trim(fmt.Sprint("never-", n), 5)
		}
		is.Equal(m.Stats(), stream.HubStats{})
	})
}

func TestMemoryShutdown(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	m := stream.NewMemory(stream.MemoryConfig{})
	sub, err := m.Subscribe(ctx, "cmd-1", 0)
	is.NoErr(err)
	m.Shutdown()
	_, err = sub.Next(ctx)
	is.True(errors.Is(err, stream.ErrClosed))
	is.True(errors.Is(m.Publish(ctx, "cmd-1", batch(1, 1, false)), stream.ErrClosed))
	is.True(errors.Is(m.Close(ctx, "cmd-1"), stream.ErrClosed))
	_, err = m.Subscribe(ctx, "cmd-1", 0)
	is.True(errors.Is(err, stream.ErrClosed))
}

// A gibibyte passes a reader that never reads and one that reads a little: the
// heap stays at what the configuration says, and the gap is told exactly.
func TestMemoryStaysBounded(t *testing.T) {
	const size, perBatch, total = 16 << 10, 16, 1 << 30
	is := is.New(t)
	ctx := t.Context()
	m := stream.NewMemory(stream.MemoryConfig{StreamBytes: 8 << 20, TotalBytes: 16 << 20})
	defer m.Shutdown()
	stalled, err := m.Subscribe(ctx, "cmd-1", 0)
	is.NoErr(err)
	defer stalled.Close()
	slow, err := m.Subscribe(ctx, "cmd-1", 0)
	is.NoErr(err)
	defer slow.Close()

	before, highest := heap(), int64(0)
	var seq, at uint64
	for seq < total/size {
		events := make([]stream.Event, perBatch)
		for i := range events {
			seq++
			events[i] = stream.Event{Seq: seq, Kind: stream.Output, Data: make([]byte, size)}
		}
		is.NoErr(m.Publish(ctx, "cmd-1", events))
		if seq%4096 != 0 {
			continue
		}
		highest = max(highest, heap())
		got, err := slow.Next(ctx)
		var gap *stream.GapError
		switch {
		case errors.As(err, &gap):
			is.Equal(gap.From, at+1)
			at = gap.To
		default:
			is.NoErr(err)
			is.Equal(got[0].Seq, at+1)
			at = got[len(got)-1].Seq
		}
	}
	t.Logf("1 GiB published: the heap grew by at most %d KiB", (highest-before)>>10)
	is.True(highest-before < 20<<20)
	is.True(m.Stats().Bytes <= 8<<20)

	_, err = stalled.Next(ctx)
	var gap *stream.GapError
	is.True(errors.As(err, &gap))
	is.Equal(gap.From, uint64(1))
	got, err := read(ctx, stalled, seq)
	is.NoErr(err)
	is.Equal(got[0].Seq, gap.To+1)
	is.Equal(uint64(len(got)), seq-gap.To)
}

// heap returns the bytes that are reachable.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The newest event is kept even where it alone is more than the limit, so a
// reader that keeps up misses nothing.
func TestMemoryKeepsTheNewestEvent(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	m := stream.NewMemory(stream.MemoryConfig{StreamBytes: 1000, TotalBytes: 1000})
	defer m.Shutdown()
	sub, err := m.Subscribe(ctx, "cmd-1", 0)
	is.NoErr(err)
	defer sub.Close()
	for seq := range uint64(10) {
		e := stream.Event{Seq: seq + 1, Kind: stream.Output, Data: make([]byte, stream.MaxData)}
		is.NoErr(m.Publish(ctx, "cmd-1", []stream.Event{e}))
		got, err := sub.Next(ctx)
		is.NoErr(err)
		is.Equal(len(got), 1)
		is.Equal(got[0].Seq, e.Seq)
	}
}
