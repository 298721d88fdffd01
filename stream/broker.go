// Package stream is the port through which events are published and read: the
// Broker interface, the Event, the Subscription, and the errors they use. It
// also holds Memory, a Broker without durability, and Hub, the part that every
// Broker needs: a bounded ring of recent events per stream, read by cursors.
//
// "Implements Broker" means that the contract suite in stream/streamtest passes
// under the race detector. The wire format for browsers is in stream/sse.
package stream

import (
	"context"
	"errors"
	"fmt"
)

// Errors of a Broker. Implementations wrap them; test with errors.Is.
var (
	// ErrGap: the events begin past the end of the stream.
	ErrGap = errors.New("stream: events would leave a gap")
	// ErrClosed: the stream has had its terminal event or was closed; or the
	// broker itself was shut down.
	ErrClosed = errors.New("stream: closed")
	// ErrInvalid: the events are not ones that a stream can hold.
	ErrInvalid = errors.New("stream: invalid events")
)

// A Broker keeps streams: append-only logs of events with dense numbers.
//
// All methods are safe for concurrent use. A stream exists from its first
// mention; a stream to which nobody has published is empty and open.
type Broker interface {
	// Publish appends events, whose Seq must rise by one from each to the
	// next. It returns when they are as durable as the broker makes them, and
	// before that no subscriber sees them. The batch is appended whole or not
	// at all.
	//
	// What is already there is not appended again: events with a Seq up to the
	// head are skipped without comparing them. That makes a retry, and a second
	// owner of the same command, harmless, because the numbers come from the
	// executor. Events that begin past head+1 are ErrGap; events with a Seq
	// past a terminal event, or for a stream that was closed, are ErrClosed;
	// a Seq of zero, a hole inside the batch, data over MaxData, or anything
	// after a terminal event in the batch is ErrInvalid.
	//
	// The broker copies what it keeps: events and their Data are the caller's
	// again once Publish has returned nil. After an error, a broker may still be
	// at them.
	Publish(ctx context.Context, streamID string, events []Event) error

	// Subscribe returns a cursor that reads from after+1 on; after is the last
	// Seq that the reader has, zero for none. It is registered for what is
	// published from now on before it reads the first time, so nothing falls
	// between. ctx bounds the call, not the Subscription.
	Subscribe(ctx context.Context, streamID string, after uint64) (*Subscription, error)

	// Close ends the stream where it is: a later Publish of something new is
	// ErrClosed, subscribers read what is there and then get io.EOF. The log
	// stays readable for as long as the broker retains it. A terminal event
	// closes the stream by itself; closing it again is nil and releases what
	// the broker holds in memory for it.
	Close(ctx context.Context, streamID string) error
}

// GapError tells a reader which events it cannot have. The subscription goes
// on behind the gap: the next Next returns what follows.
type GapError struct {
	// From and To are the first and the last Seq that are missing.
	From, To uint64
	Reason   GapReason
}

// GapReason says why events are missing.
type GapReason string

// The reasons for a gap.
const (
	// GapRetention: the events are older than what the broker keeps.
	GapRetention GapReason = "retention"
	// GapTruncated: the reader has events that the broker does not; the broker
	// lost the end of its log (a restored backup, a crash without sync) and
	// will number anew from From on.
	GapTruncated GapReason = "log_truncated"
)

func (e *GapError) Error() string {
	return fmt.Sprintf("stream: events %d to %d are gone (%s)", e.From, e.To, e.Reason)
}
