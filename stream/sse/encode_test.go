package sse_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream/sse"
)

func TestAppendEvent(t *testing.T) {
	for name, test := range map[string]struct{ id, event, data, want string }{
		"AllFields":            {"cmd-1:7", "output", `{"line":"x"}`, "id: cmd-1:7\nevent: output\ndata: {\"line\":\"x\"}\n\n"},
		"NoIdWritesNoIdField":  {"", "heartbeat", `{}`, "event: heartbeat\ndata: {}\n\n"},
		"NoNameWritesNoField":  {"1", "", `x`, "id: 1\ndata: x\n\n"},
		"NoDataIsAnEmptyLine":  {"", "", "", "data: \n\n"},
		"LFBeginsALine":        {"", "", "a\nb\n", "data: a\ndata: b\ndata: \n\n"},
		"CRBeginsALine":        {"", "", "a\rb", "data: a\ndata: b\n\n"},
		"CRLFBeginsOneLine":    {"", "", "a\r\nb\n\rc", "data: a\ndata: b\ndata: \ndata: c\n\n"},
		"ALeadingSpaceIsKept":  {" 1", " n", " x", "id:  1\nevent:  n\ndata:  x\n\n"},
		"ColonsAreNothing":     {":", ":", ":", "id: :\nevent: :\ndata: :\n\n"},
		"NULInDataIsItsOwn":    {"", "", "a\x00b", "data: a\x00b\n\n"},
		"IdsMayBeAnyUTF8":      {"é…", "ü", "ß", "id: é…\nevent: ü\ndata: ß\n\n"},
		"AFieldNameIsNoMarkup": {"", "", "id: 9\n\nid: 8", "data: id: 9\ndata: \ndata: id: 8\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			got, err := sse.AppendEvent([]byte("before"), test.id, test.event, []byte(test.data))
			is.NoErr(err)
			is.Equal(string(got), "before"+test.want)
		})
	}
}

func TestAppendEventRefuses(t *testing.T) {
	for name, field := range map[string]string{"LF": "a\nb", "CR": "a\rb", "NUL": "a\x00b", "NotUTF8": "a\xffb", "Forged": "1\ndata: forged\n\n"} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			for _, ends := range []func() ([]byte, error){
				func() ([]byte, error) { return sse.AppendEvent([]byte("before"), field, "", nil) },
				func() ([]byte, error) { return sse.AppendEvent([]byte("before"), "", field, nil) },
				func() ([]byte, error) { return sse.AppendID([]byte("before"), field) },
				func() ([]byte, error) {
					return sse.Cursor{Stream: "cmd-1"}.AppendEvent([]byte("before"), field, nil)
				},
			} {
				got, err := ends()
				is.True(errors.Is(err, sse.ErrField))
				is.Equal(string(got), "before")
			}
		})
	}
}

func TestAppendTheRest(t *testing.T) {
	is := is.New(t)
	is.Equal(string(sse.AppendRetry(nil, 1500*time.Millisecond)), "retry: 1500\n\n")
	is.Equal(string(sse.AppendRetry(nil, -time.Second)), "retry: 0\n\n")
	is.Equal(string(sse.AppendComment(nil, "")), ": \n\n")
	is.Equal(string(sse.AppendComment(nil, "a\nb\r\nc\rdata: x")), ": a\n: b\n: c\n: data: x\n\n")
	got, err := sse.AppendID(nil, "cmd-1:0")
	is.NoErr(err)
	is.Equal(string(got), "id: cmd-1:0\n\n")
	_, err = sse.AppendID(nil, "")
	is.True(errors.Is(err, sse.ErrField))

	// None of them is an event.
	all := sse.AppendComment(sse.AppendRetry(got, time.Second), "data: x\n\ndata: y")
	o, err := decode(strings.NewReader(string(all)), nil)
	is.Equal(err, io.EOF)
	is.Equal(o, outcome{LastID: "cmd-1:0", Retry: time.Second, Set: true})
}

func TestEncodingAllocatesNothing(t *testing.T) {
	is := is.New(t)
	buf, data := make([]byte, 0, 4096), []byte(`{"line":"x","stream":"stdout"}`)
	stream := strings.Clone("cmd-1")
	is.Equal(testing.AllocsPerRun(100, func() {
		buf, _ = sse.Cursor{Stream: stream, Seq: 12345}.AppendEvent(buf[:0], "output", data)
		buf, _ = sse.AppendEvent(buf, "cmd-1:2", "output", data)
		buf = sse.AppendComment(sse.AppendRetry(buf, time.Second), "x")
	}), 0.0)
}
