package shim

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/orchard9/rdev/exec"
)

// A frame holds consecutive lines of one stream that were read at one time:
//
//	u32  length of the payload
//	u8   stream
//	u8   zero, three times
//	u64  Seq of the first line
//	u32  number of lines
//	i64  time, Unix nanoseconds
//	     payload: each line as uvarint(length<<1 | partial), data
//	u32  CRC-32C of all before it
//
// in little-endian order. Many lines share one head, because at a million
// lines a second a head and a checksum for each would cost more than the lines.
const (
	frameHead = 4 + 4 + 8 + 4 + 8
	frameTail = 4
	// frameFull is the payload size from which a frame takes no more lines,
	// framePayload the largest that can come about so.
	frameFull    = 128 << 10
	framePayload = frameFull + exec.MaxLine + binary.MaxVarintLen32
	frameMax     = frameHead + framePayload + frameTail
)

var (
	errFrameShort   = errors.New("incomplete frame")
	errFrameCorrupt = errors.New("corrupt frame")
)

// castagnoli returns the table that makes package crc32 use the processor's
// own instruction; MakeTable returns the same one each time.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// frameBuilder builds frames in one buffer that it reuses.
type frameBuilder struct {
	buf   []byte
	count uint32
}

func (b *frameBuilder) add(data []byte, partial bool) {
	if b.count == 0 {
		b.buf = append(b.buf[:0], make([]byte, frameHead)...)
	}
	n := uint64(len(data)) << 1
	if partial {
		n |= 1
	}
	b.buf = binary.AppendUvarint(b.buf, n)
	b.buf = append(b.buf, data...)
	b.count++
}

func (b *frameBuilder) full() bool { return len(b.buf) >= frameHead+frameFull }

// seal completes the frame and returns it; the next add begins another one in
// the same memory.
func (b *frameBuilder) seal(first uint64, stream exec.Stream, at time.Time) []byte {
	head := b.buf
	binary.LittleEndian.PutUint32(head[0:], uint32(len(b.buf)-frameHead))
	head[4], head[5], head[6], head[7] = byte(stream), 0, 0, 0
	binary.LittleEndian.PutUint64(head[8:], first)
	binary.LittleEndian.PutUint32(head[16:], b.count)
	binary.LittleEndian.PutUint64(head[20:], uint64(at.UnixNano()))
	b.buf = binary.LittleEndian.AppendUint32(b.buf, crc32.Checksum(b.buf, castagnoli()))
	b.count = 0
	return b.buf
}

// frame is a decoded head with the lines that are still to be read.
type frame struct {
	stream exec.Stream
	next   uint64 // Seq of the next line
	left   uint32 // lines still in payload
	time   time.Time
	body   []byte
}

// frameSize returns the size of the frame that begins b, from its head alone.
func frameSize(b []byte) (size int, first uint64, count uint32, err error) {
	if len(b) < frameHead {
		return 0, 0, 0, errFrameShort
	}
	n := binary.LittleEndian.Uint32(b)
	first = binary.LittleEndian.Uint64(b[8:])
	count = binary.LittleEndian.Uint32(b[16:])
	stream := exec.Stream(b[4])
	switch {
	case n > framePayload, count == 0, count > n, first == 0, first+uint64(count) < first,
		stream != exec.Stdout && stream != exec.Stderr, b[5]|b[6]|b[7] != 0:
		return 0, 0, 0, errFrameCorrupt
	}
	return frameHead + int(n) + frameTail, first, count, nil
}

// decodeFrame checks the frame that begins b and returns it with its size. The
// frame's body is a part of b.
func decodeFrame(b []byte) (frame, int, error) {
	size, first, count, err := frameSize(b)
	if err != nil {
		return frame{}, 0, err
	}
	if len(b) < size {
		return frame{}, 0, errFrameShort
	}
	end := size - frameTail
	if crc32.Checksum(b[:end], castagnoli()) != binary.LittleEndian.Uint32(b[end:]) {
		return frame{}, 0, errFrameCorrupt
	}
	return frame{
		stream: exec.Stream(b[4]),
		next:   first,
		left:   count,
		time:   time.Unix(0, int64(binary.LittleEndian.Uint64(b[20:]))),
		body:   b[frameHead:end],
	}, size, nil
}

// appendLines takes lines out of the frame and appends those from a Seq on to dst,
// until that has most of them or the frame is empty. Their Data is parts of the
// body.
func (f *frame) appendLines(dst []exec.Line, from uint64, most int) ([]exec.Line, error) {
	for f.left > 0 && len(dst) < most {
		n, w := binary.Uvarint(f.body)
		size := n >> 1
		if w <= 0 || size > exec.MaxLine || size > uint64(len(f.body)-w) {
			return dst, errFrameCorrupt
		}
		end := w + int(size)
		if f.next >= from {
			dst = append(dst, exec.Line{Seq: f.next, Stream: f.stream, Partial: n&1 != 0, Time: f.time, Data: f.body[w:end:end]})
		}
		f.body = f.body[end:]
		f.next++
		f.left--
	}
	return dst, nil
}
