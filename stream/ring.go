package stream

// eventCost is what an event is counted as in memory beside its Data: its
// place in a ring that may be half empty, and the allocator's rounding.
const eventCost = 128 // bytes

// minRing is the smallest ring that is allocated, in events.
const minRing = 8

func cost(e Event) int { return len(e.Data) + eventCost }

// A ring holds the events of a stream from base+1 to end without holes. It
// moves forward only: it takes events at its end and lets go of them at its
// beginning. It has no lock.
type ring struct {
	base  uint64  // the Seq before the first event that is held
	slots []Event // len is zero or a power of two
	start int     // index of the first event
	n     int     // how many are held
	bytes int     // their cost
}

func (r *ring) end() uint64 { return r.base + uint64(r.n) }

// push takes the event whose Seq is end+1.
func (r *ring) push(e Event) {
	if r.n == len(r.slots) {
		r.resize(max(minRing, 2*r.n))
	}
	r.slots[(r.start+r.n)&(len(r.slots)-1)] = e
	r.n++
	r.bytes += cost(e)
}

// pop lets go of the oldest event.
func (r *ring) pop() {
	slot := &r.slots[r.start]
	r.bytes -= cost(*slot)
	*slot = Event{} // or the ring would keep its Data
	r.start = (r.start + 1) & (len(r.slots) - 1)
	r.n--
	r.base++
	if r.n <= len(r.slots)/8 && len(r.slots) > minRing {
		r.resize(len(r.slots) / 4)
	}
}

// limit pops until the cost is at most bytes, but keeps at least keep events.
func (r *ring) limit(bytes, keep int) {
	for r.n > keep && r.bytes > bytes {
		r.pop()
	}
}

// dropThrough lets go of everything up to seq and goes on behind it.
func (r *ring) dropThrough(seq uint64) {
	if seq >= r.end() {
		*r = ring{base: seq}
		return
	}
	for r.base < seq {
		r.pop()
	}
}

// after returns a copy of the events behind at, about maxBytes of them but at
// least one. at lies in [base, end).
func (r *ring) after(at uint64, maxBytes int) []Event {
	mask := len(r.slots) - 1
	first := int(at - r.base)
	last, bytes := first, 0
	for last < r.n && (last == first || bytes < maxBytes) {
		bytes += cost(r.slots[(r.start+last)&mask])
		last++
	}
	events := make([]Event, last-first)
	from := (r.start + first) & mask
	copied := copy(events, r.slots[from:])
	copy(events[copied:], r.slots)
	return events
}

func (r *ring) resize(slots int) {
	if slots < minRing {
		slots = minRing
	}
	moved := make([]Event, slots)
	if r.n > 0 {
		from := r.slots[r.start:min(r.start+r.n, len(r.slots))]
		copied := copy(moved, from)
		copy(moved[copied:], r.slots[:r.n-copied])
	}
	r.slots, r.start = moved, 0
}
