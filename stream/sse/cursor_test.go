package sse_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream/sse"
)

func TestParseCursor(t *testing.T) {
	for id, want := range map[string]sse.Cursor{
		"cmd-001:42":                    {Stream: "cmd-001", Seq: 42},
		"cmd-001:0":                     {Stream: "cmd-001"},
		"cmd-001:final":                 {Stream: "cmd-001", Final: true},
		"a:b:7":                         {Stream: "a:b", Seq: 7},
		"a:final:7":                     {Stream: "a:final", Seq: 7},
		"a:7:final":                     {Stream: "a:7", Final: true},
		"::1":                           {Stream: ":", Seq: 1},
		"cmd:9223372036854775807":       {Stream: "cmd", Seq: math.MaxInt64},
		strings.Repeat("x", 254) + ":1": {Stream: strings.Repeat("x", 254), Seq: 1},
	} {
		t.Run(id, func(t *testing.T) {
			is := is.New(t)
			got, err := sse.ParseCursor(id)
			is.NoErr(err)
			is.Equal(got, want)
			is.Equal(got.String(), id)
		})
	}
	for name, id := range map[string]string{
		"Empty":        "",
		"NoColon":      "42",
		"NoStream":     ":42",
		"NoNumber":     "cmd:",
		"Negative":     "cmd:-1",
		"Signed":       "cmd:+1",
		"Padded":       "cmd:007",
		"ZeroTwice":    "cmd:00",
		"Hexadecimal":  "cmd:0x1",
		"Fraction":     "cmd:1.0",
		"Underscore":   "cmd:1_0",
		"OtherDigits":  "cmd:١",
		"Space":        "cmd: 1",
		"SpaceBehind":  "cmd:1 ",
		"Overflow":     "cmd:9223372036854775808",
		"OverflowU64":  "cmd:18446744073709551616",
		"OverflowLong": "cmd:" + strings.Repeat("9", 200),
		"TooLong":      strings.Repeat("x", 255) + ":1",
		"FinalUpper":   "cmd:FINAL",
		"Epoch":        "cmd:42:k3f9",
		"LF":           "c\nd:1",
		"NUL":          "c\x00d:1",
		"NotASCII":     "cmdé:1",
		"SpaceInside":  "c d:1",
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			got, err := sse.ParseCursor(id)
			is.True(errors.Is(err, sse.ErrCursor))
			is.Equal(got, sse.Cursor{})
		})
	}
}

func TestCursorAppendEvent(t *testing.T) {
	is := is.New(t)
	got, err := sse.Cursor{Stream: "cmd-1", Seq: 7}.AppendEvent(nil, "output", []byte("{}"))
	is.NoErr(err)
	is.Equal(string(got), "id: cmd-1:7\nevent: output\ndata: {}\n\n")
	got, err = sse.Cursor{Stream: "cmd-1", Final: true}.AppendEvent(nil, "complete", []byte("{}"))
	is.NoErr(err)
	is.Equal(string(got), "id: cmd-1:final\nevent: complete\ndata: {}\n\n")
	for _, c := range []sse.Cursor{
		{},
		{Stream: "a\nb"},
		{Stream: "a", Seq: math.MaxInt64 + 1},
		{Stream: strings.Repeat("x", 255)},
	} {
		got, err = c.AppendEvent([]byte("before"), "output", nil)
		is.True(errors.Is(err, sse.ErrCursor))
		is.Equal(string(got), "before")
	}
}

func TestCursorAppendEventOf(t *testing.T) {
	is := is.New(t)
	at := sse.Cursor{Stream: "cmd-1", Seq: 7}
	of := func(parts ...string) string {
		got, err := at.AppendEventOf([]byte("before"), "output", func(yield func([]byte) bool) {
			for _, part := range parts {
				if !yield([]byte(part)) {
					return
				}
			}
		})
		is.NoErr(err)
		return string(got)
	}
	is.Equal(of("{}"), "beforeid: cmd-1:7\nevent: output\ndata: {}\n\n")
	is.Equal(of("a", "", "b"), "beforeid: cmd-1:7\nevent: output\ndata: a\ndata: \ndata: b\n\n")
	is.Equal(of("a\r\nb", "c"), "beforeid: cmd-1:7\nevent: output\ndata: a\ndata: b\ndata: c\n\n")
	is.Equal(of(), "beforeid: cmd-1:7\nevent: output\n\n")
	for _, c := range []sse.Cursor{{}, {Stream: "a\nb"}, {Stream: strings.Repeat("x", 255)}} {
		got, err := c.AppendEventOf([]byte("before"), "output", func(func([]byte) bool) { t.Error("a part was asked for") })
		is.True(errors.Is(err, sse.ErrCursor))
		is.Equal(string(got), "before")
	}
}
