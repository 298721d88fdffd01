package kube

import (
	"bytes"
	"strings"
)

// A demux takes the records of the scripts out of a stream. A record may begin
// anywhere, in the middle of a line, too; a nonce keeps output from looking
// like one by chance.
type demux struct {
	marker []byte
	output func([]byte)              // what is no record; the slice is valid during the call only
	record func(kind, detail string) // in its place in the stream
	held   []byte                    // what may be the beginning of a record
}

// maxRecord is more than the longest record.
const maxRecord = 16 << 10

func newDemux(nonce string, output func([]byte), record func(kind, detail string)) *demux {
	return &demux{marker: []byte("\x1erdev:" + nonce + ":"), output: output, record: record}
}

// Write implements io.Writer. It does not fail.
func (d *demux) Write(b []byte) (int, error) {
	size := len(b)
	if len(d.held) > 0 {
		d.held = append(d.held, b...)
		b = d.held
		d.held = nil
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, d.marker[0])
		if i < 0 {
			d.output(b)
			break
		}
		if i > 0 {
			d.output(b[:i])
			b = b[i:]
		}
		n := min(len(b), len(d.marker))
		if !bytes.Equal(b[:n], d.marker[:n]) {
			d.output(b[:1])
			b = b[1:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 && len(b) < maxRecord {
			d.held = append([]byte(nil), b...)
			break
		}
		if end < 0 { // no record of ours
			d.output(b)
			break
		}
		kind, detail, _ := strings.Cut(string(b[len(d.marker):end]), ":")
		d.record(kind, detail)
		b = b[end+1:]
	}
	return size, nil
}

// flush gives out what turned out to be no record, at the end of the stream.
func (d *demux) flush() {
	if len(d.held) > 0 {
		d.output(d.held)
		d.held = nil
	}
}
