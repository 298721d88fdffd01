package stream

import (
	"context"
	"errors"
	"fmt"
)

// Log is the durable log behind a Hub. Its methods are called by many
// goroutines at once, never with a lock of the Hub held.
type Log interface {
	// Head returns the end of the stream: for one never published to, the Head
	// with First 1 and everything else zero.
	Head(ctx context.Context, streamID string) (Head, error)

	// Read returns events with Seq > after, in order and without holes: about
	// maxBytes of them, but at least one if there is one. If after+1 is older
	// than what is retained, it returns a *GapError whose To is the last Seq
	// that is gone, even if nothing at all is left. The slice is the caller's;
	// the Data is never changed again.
	Read(ctx context.Context, streamID string, after uint64, maxBytes int) ([]Event, error)
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

// verify holds a result of Log.Read against its contract, because a reader is
// never left with a hole that nobody told it about: a hole before the first
// event becomes a gap, a later one cuts the result, so that the next read
// begins with it.
func verify(streamID string, after uint64, events []Event, err error) ([]Event, error) {
	if gap := (*GapError)(nil); errors.As(err, &gap) {
		if gap.To <= after {
			return nil, fmt.Errorf("stream: log of %q: reading after %d: gap ends at %d", streamID, after, gap.To)
		}
		return nil, &GapError{From: after + 1, To: gap.To, Reason: gap.Reason}
	}
	if err != nil {
		return nil, fmt.Errorf("stream: log of %q: reading after %d: %w", streamID, after, err)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("stream: log of %q has nothing after %d, but its head is further", streamID, after)
	}
	if first := events[0].Seq; first > after+1 {
		return nil, &GapError{From: after + 1, To: first - 1, Reason: GapRetention}
	} else if first <= after {
		return nil, fmt.Errorf("stream: log of %q: reading after %d: got %d", streamID, after, first)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Seq != events[i-1].Seq+1 {
			return events[:i:i], nil
		}
	}
	return events, nil
}
