package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"

	"github.com/orchard9/rdev/stream"
)

// A file is the log of one stream: an event per line, as JSON. A line with the
// Seq zero says that the stream was closed.
type file struct {
	*os.File
	head stream.Head
	ends []int64 // ends[n] is the offset behind event n
}

// openFile reads the file through once. What a crash left of a last line is cut
// off: it was promised to nobody.
func openFile(path string) (*file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &file{File: f, head: stream.Head{First: 1}, ends: []int64{0}}
	r := bufio.NewReader(f)
	var size int64
	for {
		line, err := r.ReadBytes('\n')
		var e stream.Event
		if err != nil || json.Unmarshal(line, &e) != nil {
			return l, f.Truncate(size)
		}
		l.add(e, len(line))
		size += int64(len(line))
	}
}

// add takes note of a line at the end.
func (l *file) add(e stream.Event, size int) {
	if e.Seq == 0 {
		l.head.Closed = true
		return
	}
	l.head = l.head.After([]stream.Event{e})
	l.ends = append(l.ends, l.ends[len(l.ends)-1]+int64(size))
}

// append writes events and syncs them, all or nothing.
func (l *file) append(events []stream.Event) error {
	var buf bytes.Buffer
	sizes := make([]int, len(events))
	for i, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		sizes[i] = len(line) + 1
		buf.Write(line)
		buf.WriteByte('\n')
	}
	if err := l.write(buf.Bytes()); err != nil {
		return err
	}
	for i, e := range events {
		l.add(e, sizes[i])
	}
	return nil
}

// close marks the stream as closed.
func (l *file) close() error {
	if l.head.Closed {
		return nil
	}
	if err := l.write([]byte(`{"Seq":0}` + "\n")); err != nil {
		return err
	}
	l.head.Closed = true
	return nil
}

func (l *file) write(b []byte) error {
	if _, err := l.WriteAt(b, l.ends[len(l.ends)-1]); err != nil {
		return err
	}
	return l.Sync()
}

// read returns events behind after: about maxBytes of them, at least one.
func (l *file) read(after uint64, maxBytes int) ([]stream.Event, error) {
	if after >= l.head.Seq {
		return nil, nil
	}
	r := json.NewDecoder(io.NewSectionReader(l, l.ends[after], l.ends[len(l.ends)-1]-l.ends[after]))
	var events []stream.Event
	for size := 0; r.More() && (len(events) == 0 || size < maxBytes); {
		var e stream.Event
		if err := r.Decode(&e); err != nil {
			return nil, err
		}
		events = append(events, e)
		size += len(e.Data)
	}
	return events, nil
}
