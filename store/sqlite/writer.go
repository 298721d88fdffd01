package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/stream"
)

// What one transaction takes at most. There is no delay: a publisher that is
// alone gets its own transaction, and while that runs others queue.
const (
	groupRequests = 64
	groupBytes    = 1 << 20
)

// commitBytes is what a transaction writes beside the chunks: some pages.
const commitBytes = 16 << 10

// maxKnown bounds how many open streams the writer knows by heart.
const maxKnown = 4096

// writer is the one goroutine that appends to streams.
type writer struct {
	db      *db
	hub     *stream.Hub
	timeout time.Duration
	now     func() time.Time

	queue    chan *request
	closing  chan struct{}
	shutdown sync.Once
	done     chan struct{}

	known map[string]tip // of open streams; only the goroutine uses it

	total atomic.Int64  // bytes of all chunks
	limit int64         // if positive, full is signalled beyond it
	full  chan struct{} // holds one
}

// newWriter starts the goroutine; close ends it.
func newWriter(ctx context.Context, db *db, hub *stream.Hub, options Options) (*writer, error) {
	w := &writer{
		db:      db,
		hub:     hub,
		timeout: options.Timeout,
		now:     options.Now,
		queue:   make(chan *request, groupRequests),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		known:   map[string]tip{},
		limit:   options.MaxBytes,
		full:    make(chan struct{}, 1),
	}
	var total int64
	if err := db.read.GetContext(ctx, &total, `SELECT coalesce(sum(bytes), 0) FROM streams`); err != nil {
		return nil, err
	}
	w.account(total)
	go w.run()
	return w, nil
}

// close lets the requests that are queued be done, and waits for that.
func (w *writer) close(ctx context.Context) error {
	w.shutdown.Do(func() { close(w.closing) })
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		<-w.done // the file cannot be closed before; every step has a deadline
		return ctx.Err()
	}
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case r := <-w.queue:
			w.group(r)
			continue
		case <-w.closing:
		}
		select {
		case r := <-w.queue: // queued before closing
			w.group(r)
		default:
			return
		}
	}
}

// group does first and what is queued behind it in one transaction.
func (w *writer) group(first *request) {
	var group []*request
	bytes := 0
	for r := first; r != nil; {
		if r.take() {
			group = append(group, r)
			bytes += r.bytes
		}
		if len(group) >= groupRequests || bytes >= groupBytes {
			break
		}
		select {
		case r = <-w.queue:
		default:
			r = nil
		}
	}
	if len(group) == 0 {
		return
	}
	err := w.commit(group)
	for _, r := range group {
		switch {
		case r.err != nil:
			r.done <- r.err
		case err != nil:
			r.done <- err
		default:
			w.tell(r)
			r.done <- nil
		}
	}
}

// tell gives the readers what is durable now.
func (w *writer) tell(r *request) {
	if r.end {
		w.hub.Advance(r.stream, r.head)
		return
	}
	w.hub.Append(r.stream, r.fresh)
}

// commit does the group in one transaction. A request that is refused has its
// err set and does not disturb the others; an error of the file is all of
// theirs.
func (w *writer) commit(group []*request) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.timeout)
	defer cancel()
	touched := make(map[string]*tip, len(group))
	added := int64(0)
	err := w.db.change(ctx, func(ctx context.Context, tx *session) error {
		in := &appending{ctx: ctx, tx: tx}
		now := w.now().UnixMicro()
		for _, r := range group {
			t, err := w.tip(in, touched, r.stream)
			if err != nil {
				return err
			}
			n, err := in.apply(t, r, now)
			if err != nil {
				return err
			}
			added += n
		}
		for _, t := range touched {
			if err := in.finish(t, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.remember(touched)
	w.account(added)
	w.db.checkpoints.wrote(added + commitBytes)
	return nil
}

// tip returns the end of the stream, as this transaction has it.
func (w *writer) tip(in *appending, touched map[string]*tip, id string) (*tip, error) {
	if t := touched[id]; t != nil {
		return t, nil
	}
	t, known := w.known[id]
	if !known {
		var err error
		if t, err = in.load(id); err != nil {
			return nil, err
		}
	}
	touched[id] = &t
	return &t, nil
}

// remember keeps what was learnt of streams that are open. Only the writer
// changes their ends, so it stays true.
func (w *writer) remember(touched map[string]*tip) {
	if len(w.known)+len(touched) > maxKnown {
		clear(w.known)
	}
	for id, t := range touched {
		if t.head.Closed || t.num == 0 {
			delete(w.known, id)
			continue
		}
		t.changed, t.added = false, 0
		w.known[id] = *t
	}
}

// account adds to the bytes of all chunks, and tells retention if they are too
// many.
func (w *writer) account(bytes int64) {
	if total := w.total.Add(bytes); w.limit <= 0 || total <= w.limit {
		return
	}
	select {
	case w.full <- struct{}{}:
	default:
	}
}
