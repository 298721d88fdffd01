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
