package chunk_test

import (
	"reflect"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

func TestRoundTrip(t *testing.T) {
	is := is.New(t)
	events := []stream.Event{
		{Seq: 41, Kind: stream.Output, Data: []byte(`{"line":"a"}`)},
		{Seq: 42, Kind: stream.Output, Data: make([]byte, 1<<17)},
		{Seq: 43, Kind: stream.Failed, Data: []byte{}},
	}
	b, err := chunk.Append(nil, events)
	is.NoErr(err)                         // all kinds can be stored
	is.True(len(b) <= chunk.Size(events)) // Size is an upper bound
	got, err := chunk.Decode(b, 41)
	is.NoErr(err)                           // what was packed
	is.True(reflect.DeepEqual(got, events)) // comes back
}

func TestUnknownKindIsRefused(t *testing.T) {
	is := is.New(t)
	_, err := chunk.Append(nil, []stream.Event{{Seq: 1, Kind: "news"}})
	is.True(err != nil) // it would not come back
}

// FuzzDecode: no value of a database makes it panic, and what it accepts packs
// to the same events again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 'a', 'b', 3, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := chunk.Decode(b, 1)
		if err != nil {
			return
		}
		again, err := chunk.Append(nil, events)
		if err != nil {
			t.Fatal(err)
		}
		same, err := chunk.Decode(again, 1)
		if err != nil || !reflect.DeepEqual(events, same) {
			t.Fatalf("%v: %v, want %v", err, same, events)
		}
	})
}
