package kube

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/orchard9/rdev/exec"
)

const (
	spoolMemory = 64 << 10 // bytes of a spool that stay in memory
	frameHeader = 13       // length, flags, time
	markEvery   = 64 << 10 // bytes between two marks of a spool
)

// A spool keeps the lines of a command: in memory, and beyond that in a file
// that has no name. Appending and reading are the caller's to serialise; what
// is there never changes.
type spool struct {
	dir    string
	memory []byte // what is not in the file
	file   *os.File
	inFile int64
	lines  uint64
	marks  []mark // by offset and number
	broken error  // of the file
}

// A mark says where a line begins.
type mark struct {
	offset int64
	seq    uint64
}

func (s *spool) size() int64 { return s.inFile + int64(len(s.memory)) }

// add appends a line, which gets the next number.
func (s *spool) add(stream exec.Stream, partial bool, at time.Time, data []byte) error {
	if s.broken != nil {
		return s.broken
	}
	if len(s.marks) == 0 || s.size()-s.marks[len(s.marks)-1].offset >= markEvery {
		s.marks = append(s.marks, mark{s.size(), s.lines + 1})
	}
	flags := byte(stream)
	if partial {
		flags |= 0x80
	}
	s.memory = binary.LittleEndian.AppendUint32(s.memory, uint32(len(data)))
	s.memory = append(s.memory, flags)
	s.memory = binary.LittleEndian.AppendUint64(s.memory, uint64(at.UnixNano()))
	s.memory = append(s.memory, data...)
	s.lines++
	if len(s.memory) >= spoolMemory {
		s.broken = s.spill()
	}
	return s.broken
}

func (s *spool) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "rdev-spool-*")
		if err != nil {
			return fmt.Errorf("keep output: %w", err)
		}
		if err := os.Remove(file.Name()); err != nil {
			file.Close()
			return fmt.Errorf("keep output: %w", err)
		}
		s.file = file
	}
	n, err := s.file.WriteAt(s.memory, s.inFile)
	if err != nil {
		return fmt.Errorf("keep output: %w", err)
	}
	s.inFile += int64(n)
	s.memory = s.memory[:0]
	return nil
}

// find returns a place at or before the line after the given one.
func (s *spool) find(after uint64) mark {
	found := mark{0, 1}
	for i := len(s.marks) - 1; i >= 0; i-- {
		if s.marks[i].seq <= after+1 {
			return s.marks[i]
		}
	}
	return found
}

// read returns lines from the mark on, some 64 KiB of them or one, and the mark
// behind. Their Data is in buf, which it grows as needed.
func (s *spool) read(from mark, buf *[]byte, lines []exec.Line) ([]exec.Line, mark, error) {
	want := min(s.size()-from.offset, markEvery+exec.MaxLine+2*frameHeader)
	if int64(cap(*buf)) < want {
		*buf = make([]byte, want)
	}
	b := (*buf)[:want]
	n := 0
	if from.offset < s.inFile {
		n = int(min(want, s.inFile-from.offset))
		if _, err := s.file.ReadAt(b[:n], from.offset); err != nil {
			return nil, from, fmt.Errorf("read kept output: %w", err)
		}
	}
	if n < len(b) {
		copy(b[n:], s.memory[from.offset+int64(n)-s.inFile:])
	}
	lines = lines[:0]
	for len(b) >= frameHeader {
		length := int(binary.LittleEndian.Uint32(b))
		if len(b) < frameHeader+length {
			break
		}
		lines = append(lines, exec.Line{
			Seq:     from.seq,
			Stream:  exec.Stream(b[4] & 0x7f),
			Partial: b[4]&0x80 != 0,
			Time:    time.Unix(0, int64(binary.LittleEndian.Uint64(b[5:]))),
			Data:    b[frameHeader : frameHeader+length : frameHeader+length],
		})
		b = b[frameHeader+length:]
		from.offset += int64(frameHeader + length)
		from.seq++
	}
	return lines, from, nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}
