package shim_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

func TestFrame(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	whole := shim.BuildFrame(7, exec.Stderr, at, "one", "", strings.Repeat("x", 300), "\r\x00")

	t.Run("ComesBackAsItWas", func(t *testing.T) {
		is := is.New(t)
		lines, size, err := shim.ReadFrame(append(bytes.Clone(whole), "rest"...))
		is.NoErr(err)
		is.Equal(size, len(whole))
		is.Equal(len(lines), 4)
		for i, l := range lines {
			is.Equal(l.Seq, uint64(7+i))
			is.Equal(l.Stream, exec.Stderr)
			is.True(l.Time.Equal(at))
		}
		is.Equal(string(lines[2].Data), strings.Repeat("x", 300))
		is.Equal(string(lines[3].Data), "\r\x00")
	})

	t.Run("IsRefusedWhenTornAnywhere", func(t *testing.T) {
		is := is.New(t)
		for n := range len(whole) {
			_, _, err := shim.ReadFrame(whole[:n])
			is.True(err != nil)
		}
	})

	t.Run("IsRefusedWithAnyByteChanged", func(t *testing.T) {
		is := is.New(t)
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 0x40
			_, _, err := shim.ReadFrame(bad)
			is.True(err != nil)
		}
	})
}

// FuzzFrame feeds the decoder what a broken disk may hold. Half of the inputs
// get a valid checksum, so that the fuzzer reaches the lines.
func FuzzFrame(f *testing.F) {
	f.Add(shim.BuildFrame(1, exec.Stdout, time.Unix(1, 0), "a", "b"), false)
	f.Add(shim.BuildFrame(1<<40, exec.Stderr, time.Unix(1, 0), ""), true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, fix bool) {
		if fix && len(data) >= 32 {
			data = bytes.Clone(data)
			end := len(data) - 4
			binary.LittleEndian.PutUint32(data, uint32(end-28))
			binary.LittleEndian.PutUint32(data[end:], crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)))
		}
		lines, size, err := shim.ReadFrame(data)
		if err != nil {
			return
		}
		if size > len(data) || len(lines) == 0 {
			t.Fatalf("size %d of %d, %d lines", size, len(data), len(lines))
		}
		for i, l := range lines {
			if l.Seq != lines[0].Seq+uint64(i) || len(l.Data) > exec.MaxLine {
				t.Fatalf("line %d is %d with %d bytes", i, l.Seq, len(l.Data))
			}
		}
	})
}
