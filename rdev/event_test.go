package rdev

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// FuzzOutputEvents checks that any bytes come back exactly from what is stored
// and sent, that it is one line of valid JSON, and that an event never
// outgrows what a stream takes.
func FuzzOutputEvents(f *testing.F) {
	for _, seed := range [][]byte{
		nil, []byte("plain"), []byte("a\"b\\c\td\re\x00f\x7f"), []byte("\xff\xfe half \xc3"),
		[]byte("\u2028\u2029 <script>&"), []byte("\ufffd"), bytes.Repeat([]byte{1}, exec.MaxLine), bytes.Repeat([]byte{0xff}, exec.MaxLine),
	} {
		f.Add(seed, false, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, stderr, partial bool) {
		line := exec.Line{Seq: 7, Stream: exec.Stdout, Partial: partial, Data: data}
		if stderr {
			line.Stream = exec.Stderr
		}
		var b batch
		b.add([]exec.Line{{Seq: 6, Stream: exec.Stdout, Data: []byte("before")}, line})
		events := b.take()
		if err := stream.Check(events); len(data) <= exec.MaxLine && err != nil {
			t.Fatal(err)
		}
		e := events[1]
		if !json.Valid(e.Data) || !utf8.Valid(e.Data) || bytes.ContainsAny(e.Data, "\r\n") {
			t.Fatalf("not one line of JSON: %q", e.Data)
		}
		got, err := DecodeOutput(e)
		if err != nil {
			t.Fatal(err)
		}
		if got.Seq != 7 || got.Stream != line.Stream || got.Partial != partial || !bytes.Equal(got.Data, data) {
			t.Fatalf("got %+v, want %+v", got, line)
		}
		before, err := DecodeOutput(events[0])
		if err != nil || string(before.Data) != "before" {
			t.Fatalf("the neighbour in the batch changed: %+v, %v", before, err)
		}
	})
}

func TestAppendOutput(t *testing.T) {
	for _, c := range []struct {
		name string
		line exec.Line
		want string
	}{
		{"an empty line", exec.Line{Stream: exec.Stdout}, `{"line":"","stream":"stdout"}`},
		{"a prompt", exec.Line{Stream: exec.Stderr, Partial: true, Data: []byte("go on? ")}, `{"line":"go on? ","stream":"stderr","partial":true}`},
		{"controls", exec.Line{Stream: exec.Stdout, Data: []byte("1%\r\x1b[2K\t\"\\")}, `{"line":"1%\r\u001b[2K\t\"\\","stream":"stdout"}`},
		{"bytes", exec.Line{Stream: exec.Stdout, Data: []byte("a\xffb")}, `{"line":"a` + "\uFFFD" + `b","stream":"stdout","base64":"Yf9i"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(string(appendOutput(nil, &c.line)), c.want) // the wire form
		})
	}
}

func BenchmarkOutputEvents(b *testing.B) {
	for name, text := range map[string]string{
		"Short": "1234567",
		"Plain": strings.Repeat("x", 64),
		"Log":   strings.Repeat(`{"level":"info","msg":"request served","status":200} `, 20),
		"Bytes": strings.Repeat("\x00\xff\x80 a", 20),
	} {
		b.Run(name, func(b *testing.B) {
			lines := make([]exec.Line, 512)
			for i := range lines {
				lines[i] = exec.Line{Seq: uint64(i + 1), Stream: exec.Stdout, Data: []byte(text)}
			}
			var events batch
			b.ReportAllocs()
			b.SetBytes(int64(len(lines) * len(text)))
			for b.Loop() {
				events.add(lines)
				events.take()
				events.empty()
			}
			b.ReportMetric(float64(len(lines)*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
