package stream

import (
	"slices"
	"sort"
)

// eventCost is what an event is counted as in memory beside its Data: its place
// in a block, and the allocator's rounding.
const eventCost = 64 // bytes

// blockCost is the cost from which a block takes no more events.
const blockCost = 64 << 10

func cost(e *Event) int { return len(e.Data) + eventCost }

// A ring holds the events of a stream from base+1 to end without holes. It
// moves forward only: it takes events at its end and lets go of them at its
// beginning. They lie in blocks, which readers are given parts of: an event in a
// block never changes, and what is appended to one goes where no reader looks.
// So nothing is copied for a reader, however many there are. It has no lock.
type ring struct {
	base   uint64    // the Seq before the first event that is held
	blocks [][]Event // each with one event at least
	gone   int       // events at the beginning of the first block that are not held any more
	full   int       // the cost of the last block
	n      int       // how many are held
	bytes  int       // their cost
}

func (r *ring) end() uint64 { return r.base + uint64(r.n) }

// push takes the events behind end, which it copies.
func (r *ring) push(events []Event) {
	for len(events) > 0 {
		if len(r.blocks) == 0 || r.full >= blockCost {
			r.blocks = append(r.blocks, nil)
			r.full = 0
		}
		taken := 0
		for taken < len(events) && r.full < blockCost {
			size := cost(&events[taken])
			r.full += size
			r.bytes += size
			taken++
		}
		last := &r.blocks[len(r.blocks)-1]
		*last = append(*last, events[:taken]...)
		r.n += taken
		events = events[taken:]
	}
}

// drop lets go of the n oldest events. Those of a block stay in memory until the
// last of them goes.
func (r *ring) drop(n int) {
	if n >= r.n {
		*r = ring{base: r.end()}
		return
	}
	r.base += uint64(n)
	r.n -= n
	for n > 0 {
		first := r.blocks[0][r.gone:]
		dropped := first[:min(n, len(first))]
		for i := range dropped {
			r.bytes -= cost(&dropped[i])
		}
		n -= len(dropped)
		r.gone += len(dropped)
		if len(dropped) == len(first) {
			r.blocks[0] = nil
			r.blocks, r.gone = r.blocks[1:], 0
		}
	}
}

// limit lets go of the oldest events until the cost is at most bytes, but keeps
// at least keep of them.
func (r *ring) limit(bytes, keep int) {
	over, n, gone := r.bytes-bytes, 0, r.gone
	for _, block := range r.blocks {
		for i := gone; i < len(block) && over > 0 && r.n-n > keep; i++ {
			over -= cost(&block[i])
			n++
		}
		if over <= 0 || r.n-n <= keep {
			break
		}
		gone = 0
	}
	if n > 0 {
		r.drop(n)
	}
}

// dropThrough lets go of everything up to seq and goes on behind it.
func (r *ring) dropThrough(seq uint64) {
	switch {
	case seq >= r.end():
		*r = ring{base: seq}
	case seq > r.base:
		r.drop(int(seq - r.base))
	}
}

// after returns events behind at, about maxBytes of them but at least one. at
// lies in [base, end). They are the ring's: nobody changes them.
func (r *ring) after(at uint64, maxBytes int) []Event {
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i][0].Seq > at+1 }) - 1
	events := r.blocks[i][at+1-r.blocks[i][0].Seq:]
	n, bytes := 1, cost(&events[0])
	for n < len(events) && bytes < maxBytes {
		bytes += cost(&events[n])
		n++
	}
	return slices.Clip(events[:n])
}
