package sqlite

import (
	"context"
	"sync/atomic"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

// A request asks the writer to append to a stream or to end it.
type request struct {
	stream string
	events []stream.Event
	chunks []chunk.Chunk // of all events, encoded by the publisher
	bytes  int           // of chunks
	end    bool

	// taken is set by the writer when it begins, or by the caller when it gives
	// up: whoever comes first decides, so that the writer never reads events of
	// a caller that has gone.
	taken atomic.Bool
	done  chan error // holds one

	fresh []stream.Event // what was appended
	head  stream.Head    // what the stream was then
	err   error          // why it was refused
}

func newAppend(id string, events []stream.Event) *request {
	r := &request{stream: id, events: events, chunks: chunk.Encode(events), done: make(chan error, 1)}
	for _, c := range r.chunks {
		r.bytes += len(c.Events)
	}
	return r
}

func newEnd(id string) *request {
	return &request{stream: id, end: true, done: make(chan error, 1)}
}

func (r *request) take() bool { return r.taken.CompareAndSwap(false, true) }

// do hands the request over and waits for the answer. If ctx ends before the
// writer has begun, nothing happens; once it has begun, do waits.
func (w *writer) do(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.closing: // or the choice below would be by chance
		return stream.ErrClosed
	default:
	}
	select {
	case w.queue <- r:
	case <-w.closing:
		return stream.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.take() {
			return ctx.Err()
		}
	case <-w.done:
		if r.take() {
			return stream.ErrClosed
		}
	}
	return <-r.done
}
