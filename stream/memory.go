package stream

import "context"

// DefaultMemoryStreams is how many finished streams a Memory remembers.
const DefaultMemoryStreams = 10_000

// MemoryConfig configures a Memory. An event is counted as its Data and 8
// bytes.
type MemoryConfig struct {
	// StreamBytes is how much is kept of one stream; its newest event is kept
	// even if it is larger. Defaults to DefaultStreamBytes.
	StreamBytes int
	// TotalBytes is how much is kept over all streams. Finished streams are
	// evicted first, the one that finished first going first; then open ones,
	// the one that has been silent for longest going first. Defaults to
	// DefaultTotalBytes; at least StreamBytes.
	TotalBytes int64
	// Streams is how many finished streams are remembered. One that was
	// evicted still has its head: publishing to it again is refused, reading
	// it is a gap. One that is forgotten was never published to. Defaults to
	// DefaultMemoryStreams.
	Streams int
}

// A Memory is a Broker that keeps its streams in memory, and there no more
// than it is told to. Nothing survives the process. What a reader cannot have
// any more it is told as a gap with the reason GapRetention.
type Memory struct {
	hub *Hub
}

var _ Broker = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory(config MemoryConfig) *Memory {
	if config.Streams <= 0 {
		config.Streams = DefaultMemoryStreams
	}
	return &Memory{hub: NewHub(HubConfig{
		StreamBytes: config.StreamBytes,
		TotalBytes:  config.TotalBytes,
		remember:    config.Streams,
	})}
}

// Publish implements Broker. It never waits for a reader.
func (m *Memory) Publish(ctx context.Context, streamID string, events []Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.hub.publish(streamID, events)
}

// publish appends what is new, deciding and appending under one lock.
func (h *Hub) publish(streamID string, events []Event) error {
	h.mu.Lock()
	wake, err := h.publishLocked(streamID, events)
	h.mu.Unlock()
	if wake != nil {
		wake()
	}
	return err
}

func (h *Hub) publishLocked(streamID string, events []Event) (wake func(), err error) {
	if h.ctx.Err() != nil {
		return nil, ErrClosed
	}
	var head Head
	if t := h.tails[streamID]; t != nil {
		head = t.head
	}
	fresh, err := head.Fresh(events)
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	return h.append(h.tail(streamID), fresh), nil
}

// Subscribe implements Broker.
func (m *Memory) Subscribe(ctx context.Context, streamID string, after uint64) (*Subscription, error) {
	return m.hub.Subscribe(ctx, streamID, after)
}

// Close implements Broker. The events stay until their place is needed.
func (m *Memory) Close(ctx context.Context, streamID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.hub.ctx.Err() != nil {
		return ErrClosed
	}
	m.hub.Advance(streamID, Head{Closed: true})
	return nil
}

// Trim drops the events of a stream up to and with through, as the limits of
// MemoryConfig do by themselves. It serves tests of what readers do then.
func (m *Memory) Trim(streamID string, through uint64) {
	m.hub.Advance(streamID, Head{First: through + 1})
}

// Stats returns what the Memory holds at this moment.
func (m *Memory) Stats() HubStats { return m.hub.Stats() }

// Shutdown ends the Memory and lets go of everything: every Next returns
// ErrClosed, and so does every later call. It is idempotent.
func (m *Memory) Shutdown() { m.hub.Close() }
