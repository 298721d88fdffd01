package server

import (
	"context"
	"sync"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// readers are the streams that are open, for Drain. The zero value is ready.
type readers struct {
	mu       sync.Mutex
	open     map[*stream.Subscription]struct{}
	draining bool
	none     chan struct{} // made by drain, closed when none is open
}

// errDraining turns new readers away.
var errDraining = &apiError{code: rdev.CodeUnavailable, message: "the server is about to stop"}

func (r *readers) enter(sub *stream.Subscription) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return errDraining
	}
	if r.open == nil {
		r.open = make(map[*stream.Subscription]struct{})
	}
	r.open[sub] = struct{}{}
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

func (r *readers) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// drain closes the subscriptions, which wakes their readers, and waits for
// those.
func (r *readers) drain(ctx context.Context) error {
	r.mu.Lock()
	r.draining = true
	if len(r.open) == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.none == nil {
		r.none = make(chan struct{})
	}
	none := r.none
	subs := make([]*stream.Subscription, 0, len(r.open))
	for sub := range r.open {
		subs = append(subs, sub)
	}
	r.mu.Unlock()
	for _, sub := range subs {
		sub.Close()
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
