package server

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// readers are the streams that are open: for Drain, and for the watch over
// their keys. The zero value is ready.
type readers struct {
	mu       sync.Mutex
	open     map[*stream.Subscription]*reader
	draining bool
	none     chan struct{} // closed when the last one leaves; nil while there is none
}

// errDraining turns new readers away.
var errDraining = &apiError{code: rdev.CodeUnavailable, message: "the server is about to stop"}

// enter adds a reader.
func (r *readers) enter(rd *reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return errDraining
	}
	if len(r.open) == 0 {
		r.open = make(map[*stream.Subscription]*reader)
		r.none = make(chan struct{})
	}
	r.open[rd.sub] = rd
	return nil
}

func (r *readers) leave(sub *stream.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, sub)
	if len(r.open) == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
}

// withKey returns the readers that were let in with a key.
func (r *readers) withKey(id string) []*reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*reader
	for _, rd := range r.open {
		if rd.keyID == id {
			found = append(found, rd)
		}
	}
	return found
}

func (r *readers) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// drain closes the subscriptions, which wakes their readers, and waits for
// those. A reader of a stream that has ended is let be: it reads the rest, the
// terminal event above all, and leaves by itself.
func (r *readers) drain(ctx context.Context) error {
	r.mu.Lock()
	r.draining = true
	none := r.none
	subs := slices.Collect(maps.Keys(r.open))
	r.mu.Unlock()
	for _, sub := range subs {
		if !sub.Head().Closed {
			sub.Close()
		}
	}
	if none == nil {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		for _, sub := range subs {
			sub.Close()
		}
		return ctx.Err()
	}
}
