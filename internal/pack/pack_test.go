package pack_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pack"
)

func TestUnpackGivesBackWhatWasPacked(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("x", 256),
		strings.Repeat("a line like any other\n", 10_000),
		string(make([]byte, 1<<20)),
	} {
		is := is.New(t)
		for _, dst := range [][]byte{nil, []byte("before"), make([]byte, 3, 4<<20)} {
			begin := len(dst)
			packed, ok := pack.Append(dst, []byte(text))
			is.True(ok)
			is.True(bytes.Equal(packed[:begin], dst))
			is.True(len(packed)-begin < len(text)/2)
			plain, err := pack.Unpack(nil, packed[begin:], len(text))
			is.NoErr(err)
			is.True(string(plain) == text)
			plain, err = pack.Unpack(make([]byte, 0, len(text)), packed[begin:], len(text))
			is.NoErr(err)
			is.True(string(plain) == text)
		}
	}
}

func TestWhatDoesNotBecomeSmallerStays(t *testing.T) {
	is := is.New(t)
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	for _, src := range [][]byte{nil, []byte("short"), noise} {
		dst, ok := pack.Append([]byte("before"), src)
		is.Equal(ok, false)
		is.Equal(string(dst), "before")
	}
}

func TestABlockThatClaimsToBeTooLargeIsRefused(t *testing.T) {
	is := is.New(t)
	packed, ok := pack.Append(nil, make([]byte, 1<<20))
	is.True(ok)
	_, err := pack.Unpack(nil, packed, 1<<20-1)
	is.True(errors.Is(err, pack.ErrCorrupt))
}

func FuzzUnpack(f *testing.F) {
	packed, _ := pack.Append(nil, bytes.Repeat([]byte("line\n"), 1000))
	f.Add(packed, 5000)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, packed []byte, limit int) {
		limit &= 1<<20 - 1
		plain, err := pack.Unpack(nil, packed, limit)
		if err == nil && len(plain) > limit {
			t.Errorf("%d bytes, and %d were allowed", len(plain), limit)
		}
		if err != nil && !errors.Is(err, pack.ErrCorrupt) {
			t.Error(err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	var log strings.Builder
	for i := 0; log.Len() < 64<<10; i++ {
		fmt.Fprintf(&log, `{"line":"2026-11-26T18:%02d:%02d.%06dZ INFO request %x served in %d us","stream":"stdout"}`, i%60, i%59, i*7919%1000000, i*2654435761, i%977)
	}
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	for name, src := range map[string][]byte{"Log": []byte(log.String())[:64<<10], "Noise": noise} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			var dst []byte
			for b.Loop() {
				dst, _ = pack.Append(dst[:0], src)
			}
			b.ReportMetric(float64(len(dst))/float64(len(src)), "ratio")
		})
	}
}
