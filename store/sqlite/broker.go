package sqlite

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/stream"
)

// Broker is a stream.Broker. Get one from Store.Broker.
//
// Publish encodes in the goroutine of the caller and hands over to one writer,
// which appends what all callers have queued in one transaction. Readers are
// served from memory, and from the file what is no longer there.
type Broker struct {
	hub    *stream.Hub
	writer *writer
}

var _ stream.Broker = (*Broker)(nil)

func newBroker(ctx context.Context, db *db, options Options) (*Broker, error) {
	log, err := newEventLog(ctx, db)
	if err != nil {
		return nil, err
	}
	config := options.Hub
	config.Log = log
	hub := stream.NewHub(config)
	w, err := newWriter(ctx, db, hub, options)
	if err != nil {
		hub.Close()
		return nil, err
	}
	return &Broker{hub: hub, writer: w}, nil
}

// Publish implements stream.Broker. When it returns nil, the events survive the
// death of the process. When it returns another error, such as that of a full
// disk, nothing of the batch is there, and the same Publish may be tried again.
func (b *Broker) Publish(ctx context.Context, streamID string, events []stream.Event) error {
	if err := stream.Check(events); err != nil {
		return fmt.Errorf("store/sqlite: publish to %s: %w", streamID, err)
	}
	if len(events) == 0 {
		return nil
	}
	if err := b.writer.do(ctx, newAppend(streamID, events)); err != nil {
		return fmt.Errorf("store/sqlite: publish to %s: %w", streamID, err)
	}
	return nil
}

// Subscribe implements stream.Broker.
func (b *Broker) Subscribe(ctx context.Context, streamID string, after uint64) (*stream.Subscription, error) {
	subscription, err := b.hub.Subscribe(ctx, streamID, after)
	if err != nil {
		return nil, fmt.Errorf("store/sqlite: subscribe to %s: %w", streamID, err)
	}
	return subscription, nil
}

// Close implements stream.Broker.
func (b *Broker) Close(ctx context.Context, streamID string) error {
	if err := b.writer.do(ctx, newEnd(streamID)); err != nil {
		return fmt.Errorf("store/sqlite: close stream %s: %w", streamID, err)
	}
	b.hub.Release(streamID)
	return nil
}

// Stats returns what the broker holds in memory.
func (b *Broker) Stats() stream.HubStats { return b.hub.Stats() }

func (b *Broker) shutdown(ctx context.Context) error {
	b.hub.Close()
	return b.writer.close(ctx)
}
