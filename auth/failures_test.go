package auth_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// inside returns a random address of a prefix.
func inside(p netip.Prefix, dice *rand.Rand) netip.Addr {
	b := p.Addr().As16()
	for i := p.Bits() / 8; i < 16; i += 2 {
		binary.BigEndian.PutUint16(b[i:], uint16(dice.Uint32()))
	}
	return netip.AddrFrom16(b)
}

func TestAnAddressMayFailAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		f := auth.NewFailures(auth.PerMinute(10))
		for range 10 {
			_, over := f.Fail(addr("192.0.2.1"))
			is.True(!over)
		}
		retry, over := f.Fail(addr("192.0.2.1"))
		is.True(over)
		is.Equal(retry, 6*time.Second)
		_, over = f.Fail(addr("::ffff:192.0.2.1")) // the same address
		is.True(over)
		_, over = f.Fail(addr("192.0.2.2")) // its neighbour
		is.True(!over)
		time.Sleep(retry)
		_, over = f.Fail(addr("192.0.2.1"))
		is.True(!over)
		for range 11 {
			_, over = f.Fail(netip.Addr{}) // unknown addresses share one count
		}
		is.True(over)
	})
}

func TestIPv6IsCountedBy64And48(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dice := rand.New(rand.NewPCG(1, 1))
		f := auth.NewFailures(auth.PerMinute(10))
		let := 0
		for range 100_000 {
			if _, over := f.Fail(inside(netip.MustParsePrefix("2001:db8:1:1::/64"), dice)); !over {
				let++
			}
		}
		if let != 10 {
			t.Fatalf("a /64 may fail %d times, want 10", let)
		}
		f, let = auth.NewFailures(auth.PerMinute(10)), 0
		for range 100_000 {
			if _, over := f.Fail(inside(netip.MustParsePrefix("2001:db8:2::/48"), dice)); !over {
				let++
			}
		}
		if let != 80 {
			t.Fatalf("a /48 may fail %d times, want eight times what a /64 may", let)
		}
		if _, over := f.Fail(addr("2001:db8:3::1")); over {
			t.Fatal("another /48 is over the limit")
		}
	})
}

// TestAFloodOfAddressesTakesLittleMemory fails from a million networks: memory
// stays bounded, who was over the limit before still is, and those for whom
// there is no room share what one may.
func TestAFloodOfAddressesTakesLittleMemory(t *testing.T) {
	f := auth.NewFailures(auth.PerMinute(10))
	known := addr("198.51.100.7")
	for range 11 {
		f.Fail(known)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	dice := rand.New(rand.NewPCG(2, 2))
	let := 0
	began := time.Now()
	for range 1_000_000 {
		if _, over := f.Fail(inside(netip.MustParsePrefix("2000::/16"), dice)); !over {
			let++
		}
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 5<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	if _, over := f.Fail(known); !over && took < 5*time.Second {
		t.Error("an address that was over the limit was forgotten")
	}
	// Two entries for each network that is known, and of the rest what the
	// shared count gives back in that time.
	if most := 5_100 + 10 + int(took/(6*time.Second)) + 2*int(took/time.Second+1)*5_000; let > most {
		t.Errorf("%d of a million failures were let through, want %d at most", let, most)
	}
	runtime.KeepAlive(f)
}
