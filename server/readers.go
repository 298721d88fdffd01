package server

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// readers are the streams that are open: for Drain, and for the watch over
// their keys. The zero value is ready.
type readers struct {
	mu       sync.Mutex
	open     map[*stream.Subscription]reading
	draining bool
	none     chan struct{} // closed when the last one leaves; nil while there is none
}

// errDraining turns new readers away.
var errDraining = &apiError{code: rdev.CodeUnavailable, message: "the server is about to stop"}

// enter adds a reader. The first one starts watch, which is to return when none
// is left.
func (r *readers) enter(sub *stream.Subscription, what reading, watch func(none <-chan struct{})) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return errDraining
	}
	if len(r.open) == 0 {
		r.open = make(map[*stream.Subscription]reading)
		r.none = make(chan struct{})
		go watch(r.none)
	}
	r.open[sub] = what
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

// A reading is what a reader reads, and by what right.
type reading struct {
	credential
	project string
}

// A credential is a key as it was presented, and from where.
type credential struct {
	key  string
	addr netip.Addr
}

// byCredential returns the projects that are read with each credential.
func (r *readers) byCredential() map[credential]map[*stream.Subscription]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := make(map[credential]map[*stream.Subscription]string)
	for sub, what := range r.open {
		if found[what.credential] == nil {
			found[what.credential] = make(map[*stream.Subscription]string)
		}
		found[what.credential][sub] = what.project
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
