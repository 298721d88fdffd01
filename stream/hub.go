package stream

import (
	"context"
	"fmt"
	"sync"
)

// Defaults of a HubConfig.
const (
	DefaultStreamBytes = 4 << 20
	DefaultTotalBytes  = 64 << 20
	DefaultReadBytes   = 128 << 10
)

// HubConfig configures a Hub.
type HubConfig struct {
	// Log is where readers find what the Hub does not hold. Without one the
	// Hub's memory is all there is, and what it lets go of is a gap.
	Log Log
	// StreamBytes is how much is held of one stream, an event counted as its Data
	// and 8 bytes; its newest event is held even if it is larger. Defaults to
	// DefaultStreamBytes.
	StreamBytes int
	// TotalBytes is how much is held over all streams. Defaults to
	// DefaultTotalBytes; at least StreamBytes.
	TotalBytes int64
	// ReadBytes is about how much one Next returns, and how much is asked of
	// the log at a time, an event counted as its Data and 64 bytes. A reader that
	// stalls keeps that much in memory. Defaults to DefaultReadBytes.
	ReadBytes int

	// remember is how many finished streams a Hub without a Log keeps the
	// heads of; zero is all.
	remember int
}

func (c HubConfig) withDefaults() HubConfig {
	if c.StreamBytes <= 0 {
		c.StreamBytes = DefaultStreamBytes
	}
	if c.TotalBytes <= 0 {
		c.TotalBytes = DefaultTotalBytes
	}
	c.TotalBytes = max(c.TotalBytes, int64(c.StreamBytes))
	if c.ReadBytes <= 0 {
		c.ReadBytes = DefaultReadBytes
	}
	return c
}

// A Hub is what every Broker needs between its log and its readers: of each
// stream a bounded ring of recent events, shared by all readers, each of which
// is a cursor and nothing else. There is no goroutine and no queue per reader.
//
// A reader that falls out of the ring reads the log at its own pace and
// rejoins the ring where the two meet; it costs neither the publisher nor
// another reader anything. Where events come from another process (Advance),
// one of the readers that wait for them reads the log for all.
//
// A stream costs memory while somebody reads it, or while it is open and was
// appended to here. All methods are safe for concurrent use.
type Hub struct {
	config HubConfig
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex // before any tail.mu
	tails  map[string]*tail
	budget budget
}

// NewHub returns a Hub. Close it when done.
func NewHub(config HubConfig) *Hub {
	h := &Hub{config: config.withDefaults(), tails: make(map[string]*tail)}
	h.budget.limit = h.config.TotalBytes
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Append gives events to the readers. It is called once they are durable, and
// with the batches of one stream in order; what is already there is skipped,
// and a terminal event closes the stream. It never blocks on a reader.
//
// The Hub copies what it keeps.
func (h *Hub) Append(streamID string, events []Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	if h.ctx.Err() != nil {
		h.mu.Unlock()
		return
	}
	wake := h.append(h.tail(streamID), events)
	h.mu.Unlock()
	wake()
}

// append is Append with h.mu held. The result is to be called without it.
func (h *Hub) append(t *tail, events []Event) (wake func()) {
	t.released = false
	return h.change(t, func() {
		t.add(events, h.config.StreamBytes, true)
		t.head = t.head.merge(endOf(events))
	})
}

// Advance tells the Hub what somebody else did to the stream: another process
// appended to it, it was closed, or retention moved its First. Numbers that
// the Hub has seen already are ignored, so news may arrive late, twice and in
// any order. Readers that wait look into the log; events before head.First are
// let go of. Closed and Terminal are about the stream at head.Seq; Closed must
// not be told later than the Seq of the last event, or be told again with it.
//
// Without a Log, Advance closes a stream or drops its beginning; its Seq has
// no meaning then.
func (h *Hub) Advance(streamID string, head Head) {
	h.mu.Lock()
	t := h.tails[streamID]
	if t == nil && h.config.Log == nil && h.ctx.Err() == nil {
		t = h.tail(streamID) // there is no log that would remember it
	}
	if t == nil {
		h.mu.Unlock()
		return
	}
	if h.config.Log == nil {
		// What was never appended here is nowhere; only the rest is news.
		head.Seq, head.First = 0, min(head.First, t.head.Seq+1)
	}
	wake := h.change(t, func() { t.advance(head) })
	h.mu.Unlock()
	wake()
}

func (t *tail) advance(head Head) {
	t.head = t.head.merge(head)
	if through := t.head.First - 1; through > t.ring.base {
		t.ring.dropThrough(through)
	}
}

// Subscribe returns a cursor behind after. If the Hub has no other reader of
// the stream, or after is past the end that it knows, it asks the log for the
// Head; ctx bounds that. Broker.Subscribe is this.
func (h *Hub) Subscribe(ctx context.Context, streamID string, after uint64) (*Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	if h.ctx.Err() != nil {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	t := h.tail(streamID)
	t.readers++ // from here on Append and Advance reach it
	h.mu.Unlock()

	if h.config.Log != nil {
		if err := h.refresh(ctx, t, after); err != nil {
			h.leave(t)
			return nil, err
		}
	}
	c := &cursor{hub: h, tail: t, at: after}
	c.ended, c.cancel = context.WithCancel(h.ctx)
	if head := c.Head(); after > head.Seq {
		c.gap = &GapError{From: head.Seq + 1, To: after, Reason: GapTruncated}
	}
	return NewSubscription(c), nil
}

// refresh asks the log for the head of t, once for all who want to know.
func (h *Hub) refresh(ctx context.Context, t *tail, after uint64) error {
	for {
		mine, busy := t.claim(func() bool { return !t.known || after > t.head.Seq })
		switch {
		case mine:
			defer t.unclaim()
			head, err := h.config.Log.Head(ctx, t.id)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return fmt.Errorf("stream: head of %q: %w", t.id, err)
			}
			h.mu.Lock()
			wake := h.change(t, func() { t.advance(head); t.known = true })
			h.mu.Unlock()
			wake()
			return nil
		case busy == nil:
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		case <-h.ctx.Done():
			return ErrClosed
		}
	}
}

// fill puts events that a reader found in the log into the ring.
func (h *Hub) fill(t *tail, events []Event) {
	h.mu.Lock()
	wake := h.change(t, func() {
		// A ring that holds nothing near goes to where the reading is.
		if before := events[0].Seq - 1; before > t.ring.end() {
			t.ring.dropThrough(before)
		}
		t.add(events, h.config.StreamBytes, false)
		t.head = t.head.merge(endOf(events))
	})
	h.mu.Unlock()
	wake()
}

// Release says that this process publishes no more to the stream: what is held
// of it goes as soon as nobody reads. A terminal event does the same. Without
// a Log it only becomes the first to go when memory is short.
func (h *Hub) Release(streamID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.tails[streamID]; t != nil {
		t.released = true
		h.settle(t)
	}
}

// Watched returns the streams that have a subscriber and are not known to be
// closed, each with the last Seq that the Hub knows of. It is what a poller of
// the log asks about; where it finds more it calls Advance.
func (h *Hub) Watched() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	watched := make(map[string]uint64)
	for id, t := range h.tails {
		if t.readers > 0 && !t.head.Closed {
			watched[id] = t.head.Seq
		}
	}
	return watched
}

// HubStats says what a Hub holds.
type HubStats struct {
	Streams     int   // streams that it holds anything of
	Subscribers int   // open Subscriptions
	Bytes       int64 // events, as HubConfig.StreamBytes counts them
}

// Stats returns what the Hub holds at this moment.
func (h *Hub) Stats() HubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	stats := HubStats{Streams: len(h.tails), Bytes: h.budget.used}
	for _, t := range h.tails {
		stats.Subscribers += t.readers
	}
	return stats
}

// Close wakes every Next with ErrClosed and makes every later Subscribe return
// it. It is idempotent.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancel()
	clear(h.tails)
	h.budget = budget{limit: h.budget.limit}
}
