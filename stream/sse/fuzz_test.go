package sse_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/orchard9/rdev/stream/sse"
)

func FuzzRoundTrip(f *testing.F) {
	f.Add("cmd-1:7", "output", []byte(`{"line":"x"}`), []byte("y"))
	f.Add(" ", "", []byte("a\r\nb\rc\n"), []byte("\n"))
	f.Add("\x00", "a\nb", []byte("\xef\xbb\xbf"), []byte("data: \n\n"))
	f.Fuzz(func(t *testing.T, id, name string, data, next []byte) {
		got, err := sse.AppendEvent(nil, id, name, data)
		if ok := carried(id) && carried(name); ok != (err == nil) {
			t.Fatalf("id %q, name %q: %v", id, name, err)
		}
		if err != nil {
			if len(got) > 0 || !errors.Is(err, sse.ErrField) {
				t.Fatalf("got %q and %v", got, err)
			}
			return
		}
		got, err = sse.AppendEvent(sse.AppendComment(got, string(next)), "", "", next)
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			name = "message"
		}
		want := outcome{LastID: id, Events: []dispatched{
			{id, name, split(string(data))},
			{id, "message", split(string(next))},
		}}
		o, err := decode(strings.NewReader(string(got)), nil)
		if err != io.EOF || !reflect.DeepEqual(o, want) {
			t.Fatalf("%q\ngot  %+v, %v\nwant %+v", got, o, err, want)
		}
	})
}

// FuzzDecoder holds the Decoder against the reference, however the stream is
// cut.
func FuzzDecoder(f *testing.F) {
	f.Add("\ufeffid: 1\revent:x\r\ndata: 1\n\ndata\n\r", []byte{1})
	f.Add(":c\nretry:10\nid\x00:1\nid: a\x00\n\n", []byte{3, 0, 2})
	f.Add("\xef\xbb", []byte{1, 1, 5})
	f.Add("data: a\r\n\r\nid:1\n\nid:2\n", []byte{255})
	f.Fuzz(func(t *testing.T, stream string, cuts []byte) {
		want := reference(stream)
		whole, ended := decode(strings.NewReader(stream), nil)
		if !reflect.DeepEqual(whole, want) {
			t.Fatalf("%q\ngot  %+v\nwant %+v", stream, whole, want)
		}
		if ended != io.EOF && ended != io.ErrUnexpectedEOF {
			t.Fatal(ended)
		}
		cut, err := decode(&cutter{stream: stream, cuts: cuts}, nil)
		if !reflect.DeepEqual(cut, want) || err != ended {
			t.Fatalf("%q cut at %v\ngot  %+v, %v\nwant %+v, %v", stream, cuts, cut, err, want, ended)
		}
		// With a limit only the events before the first too large one are left.
		small, err := decode(&cutter{stream: stream, cuts: cuts}, &sse.DecoderOptions{MaxEventBytes: 16})
		if !errors.Is(err, sse.ErrEventTooLarge) && (err != ended || !reflect.DeepEqual(small, want)) {
			t.Fatalf("%q with a limit: %+v, %v", stream, small, err)
		}
		if n := len(small.Events); n > len(want.Events) || n > 0 && !reflect.DeepEqual(small.Events, want.Events[:n]) {
			t.Fatalf("%q with a limit: %+v", stream, small)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, id := range []string{"cmd-1:7", "cmd-1:final", "a:b:0", ":", "x:9223372036854775808", "x:-1", "x:01"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		c, err := sse.ParseCursor(id)
		if err != nil {
			if !errors.Is(err, sse.ErrCursor) || c != (sse.Cursor{}) {
				t.Fatalf("%q: %+v, %v", id, c, err)
			}
			return
		}
		if c.String() != id {
			t.Fatalf("%q becomes %q", id, c)
		}
		frame, err := c.AppendEvent(nil, "output", []byte("{}"))
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		event, err := sse.NewDecoder(strings.NewReader(string(frame)), nil).Next()
		if err != nil || event.ID != id {
			t.Fatalf("%q arrives as %q, %v", id, event.ID, err)
		}
	})
}
