package auth

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Sizes of Failures.
const (
	maxFailing = 10_000 // prefixes that are remembered
	wideFactor = 8      // how much more a /48 may fail than a /64
)

// Failures count failed logins by where they come from: an IPv4 address, an IPv6
// /64, and, eight times as many, its /48. All methods are safe for concurrent
// use.
//
// They are there against noise and load, not against guessing, which the length
// of a key rules out. So a key that is right is served wherever it comes from:
// whoever fails from the same network cannot lock out a key's owner. What is
// over the limit is told to come back later instead of what is wrong.
//
// Memory is bounded: 10,000 prefixes that failed within the last minutes. If
// there are more, those that are not among them share one count.
type Failures struct {
	rate Rate

	mu    sync.Mutex
	full  map[netip.Prefix]time.Time // when the burst of a prefix is whole
	swept time.Time
}

// NewFailures returns Failures that allow each prefix the rate.
func NewFailures(rate Rate) *Failures {
	return &Failures{rate: rate, full: make(map[netip.Prefix]time.Time)}
}

// Fail counts a failed login from an address, the zero Addr if that is not
// known. over is true if it is one too many, and retryAfter how long the address
// has to wait then.
func (f *Failures) Fail(from netip.Addr) (retryAfter time.Duration, over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	// The wide prefix comes first, and a failure counts for both or none: else
	// one that is over its limit could fill the memory with narrow ones, and
	// one narrow one use up what its neighbours may.
	type count struct {
		prefix netip.Prefix
		full   time.Time
	}
	var counts []count
	for i, prefix := range slices.Backward(prefixesOf(from)) {
		rate, others := f.rate, netip.Prefix{}
		if i > 0 {
			rate.Requests, rate.Burst = wideFactor*rate.Requests, wideFactor*rate.Burst
			others = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if _, known := f.full[prefix]; !known && !f.room(now) {
			prefix = others
		}
		full, taken := rate.Take(f.full[prefix], now, 1)
		if taken.N == 0 {
			return max(taken.Next, time.Microsecond), true
		}
		counts = append(counts, count{prefix, full})
	}
	for _, c := range counts {
		f.full[c.prefix] = c.full
	}
	return 0, false
}

// room makes room for one more prefix, if it can: one that may fail as often as
// a new one need not be known. Nobody else is forgotten, or an attacker with
// many addresses could have it happen to its own.
func (f *Failures) room(now time.Time) bool {
	if len(f.full) < maxFailing {
		return true
	}
	if now.Sub(f.swept) < time.Second {
		return false
	}
	f.swept = now
	maps.DeleteFunc(f.full, func(_ netip.Prefix, full time.Time) bool { return !full.After(now) })
	return len(f.full) < maxFailing
}

// prefixesOf returns what an address is counted by, the narrow one first.
func prefixesOf(from netip.Addr) []netip.Prefix {
	from = plainAddr(from)
	bits := []int{64, 48}
	switch {
	case !from.IsValid():
		return []netip.Prefix{{}}
	case from.Is4():
		bits = []int{32}
	}
	prefixes := make([]netip.Prefix, len(bits))
	for i, b := range bits {
		prefixes[i], _ = from.Prefix(b) // b is one that the address has
	}
	return prefixes
}
