package stream

import (
	"context"
	"io"
	"sync"
)

// A cursor is the Source of a Hub's Subscription: a place in a stream, and no
// more.
type cursor struct {
	hub  *Hub
	tail *tail
	at   uint64    // everything up to here has been returned
	page *[]Event  // what Next returned last, if that came from the ring
	gap  *GapError // to be told first

	ended  context.Context // ends with Close, and with the Hub
	cancel context.CancelFunc
	once   sync.Once
}

// Next implements Source.
func (c *cursor) Next(ctx context.Context) ([]Event, error) {
	for {
		if err := c.stopped(ctx); err != nil {
			return nil, err
		}
		if gap := c.gap; gap != nil {
			c.gap = nil
			c.at = gap.From - 1
			return nil, gap
		}
		if c.page == nil {
			c.page = pages.Get().(*[]Event)
		}
		found, events, wake := c.tail.look((*c.page)[:0], c.at, c.hub.config.ReadBytes)
		if found == findEvents {
			if n := len(*c.page); len(events) < n {
				clear((*c.page)[len(events):n]) // or it would keep blocks in memory
			}
			*c.page = events
			return c.move(events, nil)
		}
		c.giveBack()
		switch found {
		case findEnd:
			return nil, io.EOF
		case findNothing:
			if err := c.wait(ctx, wake); err != nil {
				return nil, err
			}
		case findOlder:
			return c.move(c.older(ctx))
		case findUnloaded:
			events, err, again := c.load(ctx)
			if !again {
				return c.move(events, err)
			}
		}
	}
}

// pages are what cursors return events in. A reader that waits has none.
var pages = sync.Pool{New: func() any { return new([]Event) }}

// maxPage is the longest that is given back.
const maxPage = 4096

func (c *cursor) giveBack() {
	if cap(*c.page) <= maxPage {
		clear(*c.page)
		*c.page = (*c.page)[:0]
		pages.Put(c.page)
	}
	c.page = nil
}

// move puts the cursor behind what is being returned.
func (c *cursor) move(events []Event, err error) ([]Event, error) {
	if gap, ok := err.(*GapError); ok { // never wrapped: older and verify make it
		c.at = gap.To
	} else if err == nil {
		c.at = events[len(events)-1].Seq
	}
	return events, err
}

// older gets events that the ring no longer has. They are for this reader
// alone: the ring does not go back.
func (c *cursor) older(ctx context.Context) ([]Event, error) {
	if c.hub.config.Log == nil {
		c.tail.mu.RLock()
		defer c.tail.mu.RUnlock()
		return nil, &GapError{From: c.at + 1, To: c.tail.ring.base, Reason: GapRetention}
	}
	return c.read(ctx)
}

// load gets events that the ring does not have yet, once for all readers that
// wait for them.
func (c *cursor) load(ctx context.Context) (events []Event, err error, again bool) {
	mine, busy := c.tail.claim(func() bool { return c.at >= c.tail.ring.end() })
	if busy != nil {
		return nil, c.wait(ctx, busy), true // an error shows again at once
	}
	if !mine {
		return nil, nil, true
	}
	defer c.tail.unclaim()
	events, err = c.read(ctx)
	if err == nil {
		c.hub.fill(c.tail, events)
	}
	return events, err, false
}

// read asks the log, until ctx ends or the cursor is closed.
func (c *cursor) read(ctx context.Context) ([]Event, error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ended, cancel)()
	events, err := c.hub.config.Log.Read(reading, c.tail.id, c.at, c.hub.config.ReadBytes)
	if err != nil {
		// A driver has its own words for a context that ended.
		if stopped := c.stopped(ctx); stopped != nil {
			return nil, stopped
		}
	}
	return verify(c.tail.id, c.at, events, err)
}

func (c *cursor) wait(ctx context.Context, on <-chan struct{}) error {
	select {
	case <-on:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended.Done():
		return ErrClosed
	}
}

func (c *cursor) stopped(ctx context.Context) error {
	if c.ended.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// Head implements Source.
func (c *cursor) Head() Head { return c.hub.head(c.tail) }

// Close implements Source.
func (c *cursor) Close() {
	c.once.Do(func() {
		c.cancel()
		c.hub.leave(c.tail)
	})
}
