package stream

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// A tail is what a Hub holds of one stream: the known end, a ring of recent
// events, and what its readers wait for.
//
// Two locks, so that readers never meet the Hub's: who changes head, ring or
// known holds Hub.mu and tail.mu, so either is enough to read them. The fields
// below are marked.
type tail struct {
	id string

	mu    sync.RWMutex
	head  Head
	ring  ring
	known bool // head was read from the log, and a subscriber has been there ever since

	// wake is closed, and replaced, when a reader that found nothing should
	// look again. waited says that such a reader may exist: without one an
	// append costs no channel. Guarded by mu; readers set waited holding it
	// for reading.
	wake   chan struct{}
	waited atomic.Bool

	// loading is closed when the reader that now asks the log on behalf of
	// all has its answer; nil if nobody does. Guarded by mu.
	loading chan struct{}

	// Guarded by Hub.mu alone.
	readers  int
	released bool
	list     *list.List // the list of the Hub's that it is in
	element  *list.Element
}

func newTail(id string) *tail {
	return &tail{id: id, head: Head{First: 1}, wake: make(chan struct{})}
}

// A find is what a reader finds at its cursor.
type find int

const (
	findEvents   find = iota // events from the ring
	findNothing              // it has everything; wait
	findEnd                  // it has everything, and nothing will follow
	findOlder                // its next event is older than the ring
	findUnloaded             // its next event is in the log, and the ring should get it
)

// look returns what is there for a reader that has everything up to at: the
// events, appended to dst, or the channel to wait on. Readers look at the same
// time.
func (t *tail) look(dst []Event, at uint64, maxBytes int) (find, []Event, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	switch {
	case at >= t.ring.base && at < t.ring.end():
		return findEvents, t.ring.appendAfter(dst, at, maxBytes), nil
	case at >= t.head.Seq && t.head.Closed:
		return findEnd, nil, nil
	case at >= t.head.Seq:
		// Set before the lock is given back: whoever appends from here on
		// sees it.
		if !t.waited.Load() {
			t.waited.Store(true)
		}
		return findNothing, nil, t.wake
	case at < t.ring.base:
		return findOlder, nil, nil
	default:
		return findUnloaded, nil, nil
	}
}

// claim makes the caller the one that asks the log: it gets true and must
// call unclaim. Otherwise it waits for busy, if that is not nil, and looks
// again.
func (t *tail) claim(needed func() bool) (mine bool, busy <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !needed():
		return false, nil
	case t.loading != nil:
		return false, t.loading
	default:
		t.loading = make(chan struct{})
		return true, nil
	}
}

func (t *tail) unclaim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.loading)
	t.loading = nil
}

// rouse wakes the readers that wait. The caller holds mu, and calls the result
// once it no longer does: waking a thousand goroutines takes a while.
func (t *tail) rouse() func() {
	if !t.waited.Load() {
		return func() {}
	}
	t.waited.Store(false)
	old := t.wake
	t.wake = make(chan struct{})
	return func() { close(old) }
}

// add puts events into the ring, those that it does not have, and keeps it
// below maxBytes and at one event at least. Events that do not connect to the
// ring replace it if jump is set, and are left out otherwise. The caller holds
// both locks.
func (t *tail) add(events []Event, maxBytes int, jump bool) {
	if len(events) == 0 || events[len(events)-1].Seq <= t.ring.end() {
		return
	}
	if first := events[0].Seq; first > t.ring.end()+1 {
		if !jump {
			return
		}
		t.ring.dropThrough(first - 1)
	} else {
		events = events[t.ring.end()+1-first:]
	}
	t.ring.push(events)
	t.ring.limit(maxBytes, 1)
}
