package rdev

import (
	"sync"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// outboxBytes is how much may wait for the broker while it takes a batch. It
// bounds what a batch holds, too.
const outboxBytes = 512 << 10

// maxBatch is the largest batch that is used again.
const maxBatch = 2 * outboxBytes

// An outbox publishes what a command prints. While the broker takes one batch,
// what comes makes the next one: a line that comes alone goes out at once, and
// many that come quickly go out in few batches, because a transaction costs far
// more than a line in it.
type outbox struct {
	// publish reports besides whether it needed one attempt alone. Of an earlier
	// one, the broker may still hold the batch.
	publish func([]stream.Event) (clean bool, err error)
	failed  func(error) // called once, before anybody else learns of it

	mu      sync.Mutex
	changed sync.Cond // on mu: there is room, or nothing is under way, or it has failed
	waiting *batch    // nil if nothing waits
	busy    bool      // a goroutine publishes
	err     error     // why a batch was not published; nothing is after it
}

// batches are empty ones.
var batches = sync.Pool{New: func() any { return new(batch) }}

func newOutbox(publish func([]stream.Event) (bool, error), failed func(error)) *outbox {
	o := &outbox{publish: publish, failed: failed}
	o.changed.L = &o.mu
	return o
}

// put adds lines, whose memory it does not keep. It waits while too much waits
// already, and returns the error of an earlier batch.
func (o *outbox) put(lines []exec.Line) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.waiting != nil && o.waiting.size() >= outboxBytes && o.err == nil {
		o.changed.Wait()
	}
	if o.err != nil {
		return o.err
	}
	if o.waiting == nil {
		o.waiting = batches.Get().(*batch)
	}
	o.waiting.add(lines)
	if !o.busy {
		o.busy = true
		go o.run()
	}
	return nil
}

// run publishes until nothing waits. Whoever began it, or goes on putting, calls
// wait before it ends.
func (o *outbox) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.waiting != nil && o.err == nil {
		b := o.waiting
		o.waiting = nil
		o.changed.Broadcast()
		o.mu.Unlock()
		clean, err := o.publish(b.take())
		if err != nil {
			o.failed(err)
		}
		o.mu.Lock()
		o.err = err
		if clean && b.size() <= maxBatch {
			b.empty()
			batches.Put(b)
		}
	}
	o.busy = false
	o.changed.Broadcast()
}

// wait returns when all that was put is published, or why it is not.
func (o *outbox) wait() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.changed.Wait()
	}
	return o.err
}
