package stream

import "fmt"

// Head is the end of a stream at a moment.
type Head struct {
	// First is the oldest Seq that is retained, or Seq+1 if nothing is.
	First uint64
	// Seq is the last Seq, zero for an empty stream.
	Seq uint64
	// Closed says that nothing will follow; Terminal that the last event is a
	// terminal one.
	Closed, Terminal bool
}

// Fresh applies the rules of Publish to a stream that ends at h: it returns
// the events of the batch that are new, which may be none, or ErrInvalid,
// ErrGap or ErrClosed. The result is a part of events, not a copy.
//
// It is here so that every Broker decides alike; it must run in the same
// transaction, or under the same lock, as the append.
func (h Head) Fresh(events []Event) ([]Event, error) {
	if err := Check(events); err != nil {
		return nil, err
	}
	if len(events) == 0 || events[len(events)-1].Seq <= h.Seq {
		return nil, nil
	}
	first, last := events[0].Seq, events[len(events)-1].Seq
	if h.Closed {
		return nil, fmt.Errorf("%w: it ends at seq %d, the batch at %d", ErrClosed, h.Seq, last)
	}
	if first > h.Seq+1 {
		return nil, fmt.Errorf("%w: the stream ends at seq %d, the batch begins at %d", ErrGap, h.Seq, first)
	}
	return events[h.Seq+1-first:], nil
}

// After returns the end of the stream once fresh, the result of Fresh, has
// been appended.
func (h Head) After(fresh []Event) Head {
	if len(fresh) == 0 {
		return h
	}
	last := fresh[len(fresh)-1]
	h.Seq = last.Seq
	h.Terminal = last.Kind.Terminal()
	h.Closed = h.Closed || h.Terminal
	return h
}

// merge joins what two sources know about a stream. Its numbers only grow and
// its ends are final, so the order in which news arrives does not matter.
func (h Head) merge(other Head) Head {
	return Head{
		First:    max(h.First, other.First, 1),
		Seq:      max(h.Seq, other.Seq),
		Closed:   h.Closed || other.Closed || other.Terminal,
		Terminal: h.Terminal || other.Terminal,
	}
}

// endOf is what events that lie in the log say about its end.
func endOf(events []Event) Head {
	last := events[len(events)-1]
	return Head{Seq: last.Seq, Terminal: last.Kind.Terminal()}
}
