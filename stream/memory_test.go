package stream_test

import (
	"errors"
	"fmt"
	"io"
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
