package stream

import "sort"

const (
	// eventCost is what an event takes beside its Data in the hands of a reader:
	// the Event, rounded up.
	eventCost = 64 // bytes
	// placeCost is what it takes beside its Data in a ring.
	placeCost = 8 // bytes
	// blockCost is the cost from which a block takes no more events.
	blockCost = 64 << 10
)

func cost(e *Event) int { return len(e.Data) + placeCost }

// A block is consecutive events of one kind, whose data lie behind each other, so
// that many short lines are two allocations without pointers. What is in it never
// changes, and what is appended goes where no reader looks: readers are given
// parts of data.
type block struct {
	first uint64 // the Seq of the first event
	kind  Kind
	data  []byte
	ends  []uint32 // where in data each event ends
}

func (b *block) last() uint64 { return b.first + uint64(len(b.ends)) - 1 }

// start is where the i-th event begins in data; for the number of events, where
// the next would.
func (b *block) start(i int) int {
	if i == 0 {
		return 0
	}
	return int(b.ends[i-1])
}

// cost is that of the events from the i-th up to the j-th, which is not counted.
func (b *block) cost(i, j int) int { return b.start(j) - b.start(i) + (j-i)*placeCost }

// push appends what fits of events, and returns how many that is.
func (b *block) push(events []Event) int {
	data, ends := b.data, b.ends
	full, n := b.cost(0, len(ends)), 0
	for ; n < len(events) && full < blockCost && events[n].Kind == b.kind; n++ {
		full += cost(&events[n])
		data = appendTo(data, events[n].Data...)
		ends = appendTo(ends, uint32(len(data)))
	}
	b.data, b.ends = data, ends
	return n
}

// appendTo is append, but doubles: what is appended to is small, and append would
// take smaller steps.
func appendTo[E any](s []E, more ...E) []E {
	if n := len(s) + len(more); n > cap(s) {
		s = append(make([]E, 0, max(n, 2*cap(s))), s...)
	}
	return append(s, more...)
}

// A ring holds the events of a stream from base+1 to end without holes, in memory
// of its own. It moves forward only: it takes events at its end and lets go of
// them at its beginning. It has no lock.
type ring struct {
	base   uint64  // the Seq before the first event that is held
	blocks []block // each with one event at least
	gone   int     // events at the beginning of the first block that are not held any more
	n      int     // how many are held
	bytes  int     // their cost
}

func (r *ring) end() uint64 { return r.base + uint64(r.n) }

// push takes the events behind end, which it copies.
func (r *ring) push(events []Event) {
	for len(events) > 0 {
		taken := 0
		if len(r.blocks) > 0 {
			last := &r.blocks[len(r.blocks)-1]
			before := len(last.ends)
			taken = last.push(events)
			r.bytes += last.cost(before, before+taken)
		}
		if taken == 0 {
			r.begin(&events[0])
		}
		r.n += taken
		events = events[taken:]
	}
}

// begin appends a block for e and what follows it. Behind a full one, it is made
// for as much.
func (r *ring) begin(e *Event) {
	b := block{first: e.Seq, kind: e.Kind}
	if n := len(r.blocks); n > 0 && r.blocks[n-1].kind == e.Kind {
		last := &r.blocks[n-1]
		b.data, b.ends = make([]byte, 0, min(len(last.data), blockCost)), make([]uint32, 0, len(last.ends))
	}
	r.blocks = append(r.blocks, b)
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
		first := &r.blocks[0]
		dropped := min(n, len(first.ends)-r.gone)
		r.bytes -= first.cost(r.gone, r.gone+dropped)
		r.gone += dropped
		n -= dropped
		if r.gone == len(first.ends) {
			*first = block{}
			r.blocks, r.gone = r.blocks[1:], 0
		}
	}
}

// limit lets go of the oldest events until the cost is at most bytes, but keeps
// at least keep of them.
func (r *ring) limit(bytes, keep int) {
	over, n, gone := r.bytes-bytes, 0, r.gone
	for i := range r.blocks {
		if over <= 0 {
			break
		}
		b := &r.blocks[i]
		enough := sort.Search(len(b.ends)-gone, func(i int) bool { return b.cost(gone, gone+i) >= over })
		over -= b.cost(gone, gone+enough)
		n += enough
		gone = 0
	}
	if n = min(n, r.n-keep); n > 0 {
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

// appendAfter appends events behind at to dst, about maxBytes of them in a
// reader's hands but at least one. at lies in [base, end). Their Data is the
// ring's: nobody changes it.
func (r *ring) appendAfter(dst []Event, at uint64, maxBytes int) []Event {
	found := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].last() > at })
	for _, b := range r.blocks[found:] {
		for i := int(at + 1 - b.first); i < len(b.ends); i++ {
			data := b.data[b.start(i):b.ends[i]:b.ends[i]]
			at++
			dst = append(dst, Event{Seq: at, Kind: b.kind, Data: data})
			if maxBytes -= len(data) + eventCost; maxBytes <= 0 {
				return dst
			}
		}
	}
	return dst
}
