package sse

import (
	"bytes"
	"io"
	"strings"
)

const (
	// readSize is how much is asked of the reader at a time, and bulkSize once it
	// has given as much as was asked. Where lines end in CR it is always readSize,
	// which bounds how far a search for an LF runs.
	readSize = 16 << 10
	bulkSize = 64 << 10
	// keepSize is the largest buffer that is kept once it is empty.
	keepSize = 1 << 20

	bom = "\xef\xbb\xbf"
)

// lines cuts a stream into lines that end in CR, LF or CRLF, without a leading
// byte order mark. It never waits for the byte after a CR: the event that ends
// there would come late.
type lines struct {
	reader io.Reader
	err    error // of the reader, once it has come with bytes

	buf        []byte
	start, end int  // what is read and not yet taken
	ask        int  // how much to read next
	scanned    int  // bytes from start on that hold no end of a line
	hasCR      bool // there may be a CR in what is read
	skipLF     bool // the last line ended in CR
	begun      bool // whether there is a byte order mark is known
}

// next returns the next line without its end, valid until fill; or false if
// the buffer holds no whole line.
func (l *lines) next() ([]byte, bool) {
	if !l.begun && !l.skipBOM() {
		return nil, false
	}
	if l.skipLF && l.start < l.end {
		l.skipLF = false
		if l.buf[l.start] == '\n' {
			l.start++
		}
	}
	rest := l.buf[l.start+l.scanned : l.end]
	at := bytes.IndexByte(rest, '\n')
	if at >= 0 {
		rest = rest[:at]
	}
	if l.hasCR {
		if cr := bytes.IndexByte(rest, '\r'); cr >= 0 {
			at = cr
			l.skipLF = true
		}
	}
	if at < 0 {
		l.scanned = l.end - l.start
		return nil, false
	}
	line := l.buf[l.start : l.start+l.scanned+at]
	l.start += len(line) + 1
	l.scanned = 0
	return line, true
}

// skipBOM takes the byte order mark and reports whether enough is there to
// tell.
func (l *lines) skipBOM() bool {
	have := string(l.buf[l.start:min(l.end, l.start+len(bom))])
	if len(have) < len(bom) && strings.HasPrefix(bom, have) {
		return false
	}
	l.begun = true
	if have == bom {
		l.start += len(bom)
	}
	return true
}

// pending returns how long the line is of which the end is missing.
func (l *lines) pending() int { return l.end - l.start }

// fill reads more, or returns why there is no more.
func (l *lines) fill() error {
	if l.err != nil {
		return l.err
	}
	if l.start == l.end {
		l.start, l.end, l.hasCR = 0, 0, false
		if len(l.buf) > keepSize {
			l.buf = nil
		}
	}
	if l.ask == 0 || l.hasCR {
		l.ask = readSize
	}
	if len(l.buf)-l.end < l.ask {
		pending := l.pending()
		buf := l.buf
		if len(buf)-pending < l.ask {
			buf = make([]byte, 2*pending+l.ask)
		}
		copy(buf, l.buf[l.start:l.end])
		l.buf, l.start, l.end = buf, 0, pending
	}
	for range 100 {
		n, err := l.reader.Read(l.buf[l.end : l.end+l.ask])
		l.hasCR = l.hasCR || bytes.IndexByte(l.buf[l.end:l.end+n], '\r') >= 0
		l.end += n
		if n == l.ask {
			l.ask = bulkSize
		}
		switch {
		case n > 0:
			l.err = err
			return nil
		case err != nil:
			l.err = err
			return err
		}
	}
	l.err = io.ErrNoProgress
	return l.err
}
