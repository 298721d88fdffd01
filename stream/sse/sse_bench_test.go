package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/orchard9/rdev/stream/sse"
)

var line = fmt.Appendf(nil, `{"line":"%064d","stream":"stdout"}`, 1)

func BenchmarkEncode(b *testing.B) {
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	seq, written := uint64(0), 0
	for b.Loop() {
		if len(buf) > 32<<10 {
			written += len(buf)
			buf = buf[:0]
		}
		seq++
		buf, _ = sse.Cursor{Stream: "cmd-01jd0000000000000000000000", Seq: seq}.AppendEvent(buf, "output", line)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(written)/1e6/b.Elapsed().Seconds(), "MB/s")
}

func BenchmarkDecode(b *testing.B) {
	var stream []byte
	const events = 1000
	for seq := range uint64(events) {
		stream, _ = sse.Cursor{Stream: "cmd-01jd0000000000000000000000", Seq: seq}.AppendEvent(stream, "output", line)
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		d := sse.NewDecoder(bytes.NewReader(stream), nil)
		n := 0
		for {
			if _, err := d.Next(); err == io.EOF {
				break
			}
			n++
		}
		if n != events {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
