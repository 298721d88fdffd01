package sqlite_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/store/sqlite"
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
			for _, c := range sqlite.Encode(events) {
				is.Equal(c.First, next)
				is.True(len(c.Events) <= sqlite.ChunkBytes+stream.MaxData+400) // a page is no more than one event too large
				var err error
				got, err = sqlite.Decode(got, c, 0)
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
	c := sqlite.Encode(events)[0]
	for after := uint64(0); after < 20; after++ {
		got, err := sqlite.Decode(nil, c, after)
		is.NoErr(err)
		from := min(max(int(after)-4, 0), 10)
		is.Equal(len(got), 10-from)
		if from < 10 {
			is.Equal(got[0].Seq, events[from].Seq)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good := sqlite.Encode([]stream.Event{{Seq: 1, Kind: "x", Data: []byte("a")}, {Seq: 2, Kind: stream.Complete, Data: []byte("bc")}})[0]
	f.Add(good.Events, uint16(2))
	f.Add([]byte{}, uint16(1))
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint16(1))
	f.Fuzz(func(t *testing.T, encoded []byte, n uint16) {
		c := sqlite.Chunk{First: 1, Last: uint64(n), Events: encoded}
		events, err := sqlite.Decode(nil, c, 0)
		if err != nil {
			if !errors.Is(err, sqlite.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if len(events) != int(n) {
			t.Fatalf("%d events were decoded of %d", len(events), n)
		}
		var again []stream.Event
		for _, c := range sqlite.Encode(events) {
			if again, err = sqlite.Decode(again, c, 0); err != nil {
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

func TestACorruptChunkIsAnError(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	publish(t, s, "s", batch(1, 10, 10)...)
	closeStore(t, s)
	s = open(t, path, nil)
	_, err := s.Writer().ExecContext(t.Context(), `UPDATE chunks SET events = substr(events, 1, 20)`)
	is.NoErr(err)
	sub, err := s.Broker().Subscribe(t.Context(), "s", 0)
	is.NoErr(err)
	defer sub.Close()
	_, err = sub.Next(t.Context())
	is.True(errors.Is(err, sqlite.ErrCorrupt))
}
