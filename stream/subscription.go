package stream

import "context"

// A Source is what a Broker puts behind a Subscription. Its methods have the
// contract of Subscription's.
type Source interface {
	Next(ctx context.Context) ([]Event, error)
	Head() Head
	Close()
}

// A Subscription is a reader's cursor over one stream. It holds no queue: a
// reader that is slow finds its events in the log. Close it when done.
//
// Next is for one goroutine at a time; Head and Close may be called from any.
type Subscription struct {
	source Source
}

// NewSubscription returns a Subscription over source, for authors of Brokers.
func NewSubscription(source Source) *Subscription {
	return &Subscription{source: source}
}

// Next blocks until there are events after the cursor and returns them, at
// least one, in order, and moves the cursor behind them. The slice is valid until
// the next call; the Data stays, is shared with other readers, and is never
// changed. It returns io.EOF once everything of a closed stream has been read; a
// *GapError for events that are gone, after which the cursor stands behind the gap
// and Next goes on; ctx.Err() when ctx ends, with the cursor unmoved; ErrClosed
// after Close, or when the broker was shut down.
// After any other error the cursor is unmoved and Next may be tried again.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) { return s.source.Next(ctx) }

// Head returns the end of the stream as this process knows it.
func (s *Subscription) Head() Head { return s.source.Head() }

// Close releases the cursor and wakes a blocked Next with ErrClosed. It is
// idempotent.
func (s *Subscription) Close() { s.source.Close() }
