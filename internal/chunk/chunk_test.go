package chunk_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

func TestChunksGiveBackWhatTheyWereMadeOf(t *testing.T) {
	for name, events := range map[string][]stream.Event{
		"OneEmpty": {{Seq: 1, Kind: stream.Output, Data: []byte{}}},
		"AllKinds": {
			{Seq: 7, Kind: stream.Output, Data: []byte("a")},
			{Seq: 8, Kind: "another kind", Data: []byte("b")},
			{Seq: 9, Kind: stream.Failed, Data: []byte("c")},
			{Seq: 10, Kind: stream.Complete, Data: []byte("d")},
		},
		"AnyBytes":    {{Seq: 1, Kind: stream.Output, Data: []byte("\x00\xff\r\n\x80")}},
		"TheLargest":  batch(1, 3, stream.MaxData),
		"Many":        batch(1<<40, 10_000, 100),
		"LongKind":    {{Seq: 1, Kind: stream.Kind(strings.Repeat("k", 300)), Data: []byte{}}},
		"HugeNumbers": batch(1<<62, 3, 1),
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			var got []stream.Event
			next := events[0].Seq
			for _, c := range chunk.Encode(events) {
				is.Equal(c.First, next)
				is.True(len(c.Events) <= chunk.Bytes+stream.MaxData+400) // a page is no more than one event too large
				var err error
				got, err = chunk.Decode(got, c, 0)
				is.NoErr(err)
				next = c.Last + 1
			}
			is.True(reflect.DeepEqual(got, events))
		})
	}
}

func TestDecodeBeginsWhereItIsAskedTo(t *testing.T) {
	is := is.New(t)
	events := batch(5, 10, 10)
	c := chunk.Encode(events)[0]
	for after := uint64(0); after < 20; after++ {
		got, err := chunk.Decode(nil, c, after)
		is.NoErr(err)
		from := min(max(int(after)-4, 0), 10)
		is.Equal(len(got), 10-from)
		if from < 10 {
			is.Equal(got[0].Seq, events[from].Seq)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good := chunk.Encode([]stream.Event{{Seq: 1, Kind: "x", Data: []byte("a")}, {Seq: 2, Kind: stream.Complete, Data: []byte("bc")}})[0]
	f.Add(good.Events, uint16(2))
	f.Add([]byte{}, uint16(1))
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint16(1))
	f.Fuzz(func(t *testing.T, encoded []byte, n uint16) {
		c := chunk.Chunk{First: 1, Last: uint64(n), Events: encoded}
		events, err := chunk.Decode(nil, c, 0)
		if err != nil {
			if !errors.Is(err, chunk.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if len(events) != int(n) {
			t.Fatalf("%d events were decoded of %d", len(events), n)
		}
		var again []stream.Event
		for _, c := range chunk.Encode(events) {
			if again, err = chunk.Decode(again, c, 0); err != nil {
				t.Fatal(err)
			}
		}
		for i := range events {
			if events[i].Seq != again[i].Seq || events[i].Kind != again[i].Kind || !bytes.Equal(events[i].Data, again[i].Data) {
				t.Fatalf("event %d changed", i)
			}
		}
	})
}

func batch(first uint64, n, size int) []stream.Event {
	events := make([]stream.Event, n)
	for i := range events {
		events[i] = stream.Event{Seq: first + uint64(i), Kind: stream.Output, Data: bytes.Repeat([]byte("x"), size)}
	}
	return events
}
