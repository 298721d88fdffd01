package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// segmentSize is where a segment ends and the next one begins.
const segmentSize = 4 << 20

// A segment is one file of a log. Followers read no further than size.
type segment struct {
	first uint64 // Seq of its first line
	size  int64
}

// outputLog is the numbered output of one command on disk. Two readers of
// pipes append to it; any number of followers read its files themselves and
// only learn from it how far they may.
type outputLog struct {
	dir   string
	space func() bool // whether another segment may be begun

	mu       sync.Mutex
	segments []segment
	last     uint64   // Seq of the last line that followers may read
	file     *os.File // the last segment while the command runs
	prepared *os.File // what is to be the first one
	recent   []byte   // what was written last to the last segment
	frame    frameBuilder
	full     bool // the disk takes no more
	room     int64
	limited  bool // room counts
	dropped  bool // output was thrown away
	written  time.Time
	wake     chan struct{}
	waited   bool // somebody holds wake
}

func newLog(dir string, maxOutput int64, space func() bool) *outputLog {
	return &outputLog{
		dir:     dir,
		space:   space,
		room:    maxOutput,
		limited: maxOutput >= 0,
		wake:    make(chan struct{}),
	}
}

// prepare gives the log the file of its first segment.
func (l *outputLog) prepare(file *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prepared = file
}

// admit takes n bytes that were read from the command off what may still be
// kept and returns how many of them that is. The caller holds l.mu.
func (l *outputLog) admit(n int) int {
	switch {
	case l.full:
		n = 0
	case l.limited && int64(n) > l.room:
		n = int(l.room)
	default:
		l.room -= int64(n)
		return n
	}
	l.room -= int64(n)
	l.dropped = true
	return n
}

// add appends a line to the frame being built and writes the frame when it is
// full. The caller holds l.mu and calls commit before it lets go.
func (l *outputLog) add(stream exec.Stream, at time.Time, data []byte, partial bool) {
	l.frame.add(data, partial)
	if l.frame.full() {
		l.write(stream, at)
	}
}

// commit writes what add has left and wakes the followers. The caller holds
// l.mu.
func (l *outputLog) commit(stream exec.Stream, at time.Time) {
	if l.frame.count > 0 {
		l.write(stream, at)
	}
	if l.waited {
		close(l.wake)
		l.wake, l.waited = make(chan struct{}), false
	}
}

// write stores the frame. Lines get their numbers for good only here: a frame
// that the disk refuses is counted as thrown away, and the numbers stay dense.
func (l *outputLog) write(stream exec.Stream, at time.Time) {
	count := l.frame.count
	buf := l.frame.seal(l.last+1, stream, at)
	if l.full || !l.store(buf) {
		l.full, l.dropped = true, true
		return
	}
	l.last += uint64(count)
}

func (l *outputLog) store(buf []byte) bool {
	if n := len(l.segments); n == 0 || l.segments[n-1].size+int64(len(buf)) > segmentSize {
		if !l.begin() {
			return false
		}
	}
	seg := &l.segments[len(l.segments)-1]
	if _, err := l.file.WriteAt(buf, seg.size); err != nil {
		// Whatever the error, the disk cannot be relied on any more. Cut the
		// torn frame, so that the file is what the followers know of it.
		_ = l.file.Truncate(seg.size)
		return false
	}
	seg.size += int64(len(buf))
	l.written = time.Now()
	l.remember(buf)
	return true
}

// maxRecent is how much of what was written last is kept in memory, so that a
// follower who waits for it need not open a file. More is read as quickly there.
const maxRecent = 4 << 10

func (l *outputLog) remember(buf []byte) {
	if len(buf) > maxRecent {
		l.recent = nil
		return
	}
	if len(l.recent)+len(buf) > maxRecent {
		l.recent = l.recent[:0]
	}
	l.recent = append(l.recent, buf...)
}

// readRecent reads what the last segment, whose first line is first, holds from
// pos on. It returns 0 if that is not all in memory, or not there.
func (l *outputLog) readRecent(buf []byte, first uint64, pos int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 {
		return 0
	}
	seg := l.segments[len(l.segments)-1]
	begin := pos - (seg.size - int64(len(l.recent)))
	if seg.first != first || begin < 0 || begin >= int64(len(l.recent)) {
		return 0
	}
	return copy(buf, l.recent[begin:])
}

func (l *outputLog) begin() bool {
	if !l.space() {
		return false
	}
	first := l.last + 1
	if l.prepared != nil {
		l.file, l.prepared = l.prepared, nil
		l.segments = append(l.segments, segment{first: first})
		return true
	}
	// It is empty or not there. Without O_TRUNC, which would make ext4 write
	// the file to the disk when it is closed.
	file, err := os.OpenFile(segmentPath(l.dir, first), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	l.segments = append(l.segments, segment{first: first})
	l.recent = l.recent[:0]
	return true
}

// drop notes that output was thrown away.
func (l *outputLog) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
}

// close ends the writing. The log can still be read.
func (l *outputLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, file := range []*os.File{l.file, l.prepared} {
		if file != nil {
			file.Close()
		}
	}
	l.file, l.prepared, l.recent = nil, nil, nil
	l.frame = frameBuilder{}
}

// changed returns a channel that is closed at the next commit, and the Seq of
// the last line so far.
func (l *outputLog) changed() (<-chan struct{}, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waited = true
	return l.wake, l.last
}

// writtenSince reports whether something was written after t.
func (l *outputLog) writtenSince(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.After(t)
}

// locate returns the segment that holds line seq, with the size that it has so
// far.
func (l *outputLog) locate(seq uint64) (segment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq == 0 || seq > l.last {
		return segment{}, false
	}
	i, found := slices.BinarySearchFunc(l.segments, seq, func(s segment, seq uint64) int {
		switch {
		case s.first < seq:
			return -1
		case s.first > seq:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return segment{}, false
	}
	return l.segments[i], true
}

// bytes returns the size of the log on disk.
func (l *outputLog) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, seg := range l.segments {
		n += seg.size
	}
	return n
}

// forget makes the log one whose lines are gone, and returns the files that they
// were in. It is for a log that was closed.
func (l *outputLog) forget() []segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	segments := l.segments
	l.segments = nil
	return segments
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.seg", first))
}
