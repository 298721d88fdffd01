package postgres

import (
	"context"

	"github.com/orchard9/rdev/stream"
)

// Broker is the stream.Broker of a Store. Events are durable when Publish
// returns: their commit has been flushed, as far as the server's
// synchronous_commit goes.
type Broker struct {
	s *Store
}

// Publish implements stream.Broker.
func (b *Broker) Publish(ctx context.Context, streamID string, events []stream.Event) error {
	return b.s.publisher.publish(ctx, streamID, events)
}

// Subscribe implements stream.Broker.
func (b *Broker) Subscribe(ctx context.Context, streamID string, after uint64) (*stream.Subscription, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return b.s.hub.Subscribe(ctx, streamID, after)
}

// Close implements stream.Broker.
func (b *Broker) Close(ctx context.Context, streamID string) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var row headRow
	err := b.s.db.GetContext(ctx, &row, `INSERT INTO streams (id, closed) VALUES ($1, true)
		ON CONFLICT (id) DO UPDATE SET closed = true RETURNING id, first, head, terminal, closed`, streamID)
	if err != nil {
		return failed(ctx, "close stream", err)
	}
	b.s.hub.Advance(streamID, row.head())
	b.s.hub.Release(streamID)
	b.s.wakeups.tell(streamID, news{seq: row.Head, closed: true})
	return nil
}
