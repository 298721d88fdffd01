// Package pack makes blocks of output smaller where that is cheap: what programs
// print repeats itself, and each byte of it is written to a disk and sent through
// several processes. Blocks are in the format of S2 (an extension of Snappy's
// block format); what does not become smaller stays as it is.
package pack

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// least is the size from which on it is worth a try.
const least = 256

// ErrCorrupt: a block is not what Append has made.
var ErrCorrupt = errors.New("a packed block is corrupt")

// Append appends src, packed, to dst, if that makes it smaller by an eighth at
// least; else it returns dst as it was, and false.
func Append(dst, src []byte) ([]byte, bool) {
	if len(src) < least {
		return dst, false
	}
	begin, most := len(dst), s2.MaxEncodedLen(len(src))
	if cap(dst)-begin < most {
		dst = append(make([]byte, 0, begin+most), dst...)
	}
	packed := s2.Encode(dst[begin:begin+most], src)
	if len(packed) > len(src)-len(src)/8 {
		return dst[:begin], false
	}
	return dst[:begin+len(packed)], true
}

// Unpack returns what was packed, which may be limit bytes at most: a few bytes
// can claim to be gigabytes. It is put into buf if that is large enough.
func Unpack(buf, packed []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(packed)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case n > limit:
		return nil, fmt.Errorf("%w: it would be %d bytes, and %d are allowed", ErrCorrupt, n, limit)
	}
	plain, err := s2.Decode(buf[:cap(buf)], packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return plain, nil
}
