package stream_test

import (
	"bytes"
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

// logbook is a durable log for tests: what a database is to a Broker.
type logbook struct {
	mu      sync.Mutex
	streams map[string]*logged
	reads   int           // calls of Read and Head
	before  func()        // called by every Read, without the lock
	gate    chan struct{} // while not nil, Read waits for it or its ctx
}

type logged struct {
	head   stream.Head
	events []stream.Event
}

func newLogbook() *logbook { return &logbook{streams: map[string]*logged{}} }

func (l *logbook) get(id string) *logged {
	s := l.streams[id]
	if s == nil {
		s = &logged{head: stream.Head{First: 1}}
		l.streams[id] = s
	}
	return s
}

func (l *logbook) Head(ctx context.Context, id string) (stream.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return l.get(id).head, ctx.Err()
}

func (l *logbook) Read(ctx context.Context, id string, after uint64, maxBytes int) ([]stream.Event, error) {
	l.mu.Lock()
	l.reads++
	before, gate := l.before, l.gate
	l.mu.Unlock()
	if before != nil {
		before()
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.get(id)
	if after+1 < s.head.First {
		return nil, &stream.GapError{From: after + 1, To: s.head.First - 1, Reason: stream.GapRetention}
	}
	var out []stream.Event
	for seq := after + 1; seq <= s.head.Seq && (len(out) == 0 || maxBytes > 0); seq++ {
		e := s.events[seq-s.head.First]
		out = append(out, e)
		maxBytes -= len(e.Data)
	}
	return out, nil
}

func (l *logbook) append(id string, events []stream.Event) ([]stream.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.get(id)
	fresh, err := s.head.Fresh(events)
	if err == nil {
		for _, e := range fresh {
			e.Data = bytes.Clone(e.Data)
			s.events = append(s.events, e)
		}
		s.head = s.head.After(fresh)
	}
	return fresh, err
}

func (l *logbook) trim(id string, through uint64) stream.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.get(id)
	for len(s.events) > 0 && s.events[0].Seq <= through {
		s.events = s.events[1:]
	}
	s.head.First = max(s.head.First, through+1)
	return s.head
}

func (l *logbook) close(id string) stream.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.get(id).head.Closed = true
	return l.get(id).head
}

// A replica is a Broker as a store makes one: a log and a Hub.
type replica struct {
	log  *logbook
	hub  *stream.Hub
	mu   *sync.Mutex   // one writer, so that Append is called in order
	also []*stream.Hub // of other replicas, told by Advance
}

func (r *replica) Publish(ctx context.Context, id string, events []stream.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, err := r.log.append(id, events)
	if err != nil {
		return err
	}
	r.hub.Append(id, fresh)
	r.tell(id)
	return nil
}

func (r *replica) Subscribe(ctx context.Context, id string, after uint64) (*stream.Subscription, error) {
	return r.hub.Subscribe(ctx, id, after)
}

func (r *replica) Close(ctx context.Context, id string) error {
	r.hub.Advance(id, r.log.close(id))
	r.hub.Release(id)
	r.tell(id)
	return ctx.Err()
}

func (r *replica) tell(id string) {
	for _, hub := range r.also {
		head, _ := r.log.Head(context.Background(), id)
		hub.Advance(id, head)
	}
}

// elsewhere publishes with one replica and reads with another.
type elsewhere struct {
	*replica
	there *replica
}

func (e elsewhere) Subscribe(ctx context.Context, id string, after uint64) (*stream.Subscription, error) {
	return e.there.Subscribe(ctx, id, after)
}

func subject(t *testing.T, config stream.HubConfig, apart bool) streamtest.Subject {
	log := newLogbook()
	config.Log = log
	hubs := func(t *testing.T) stream.Broker {
		here := &replica{log: log, hub: stream.NewHub(config), mu: new(sync.Mutex)}
		t.Cleanup(here.hub.Close)
		if !apart {
			return here
		}
		there := &replica{log: log, hub: stream.NewHub(config)}
		t.Cleanup(there.hub.Close)
		here.also = []*stream.Hub{there.hub}
		return elsewhere{here, there}
	}
	broker := hubs(t)
	return streamtest.Subject{
		Broker: broker,
		Reopen: func(t *testing.T) stream.Broker {
			broker = hubs(t)
			return broker
		},
		Trim: func(_ *testing.T, id string, through uint64) {
			head := log.trim(id, through)
			switch b := broker.(type) {
			case *replica:
				b.hub.Advance(id, head)
			case elsewhere:
				b.hub.Advance(id, head)
				b.there.hub.Advance(id, head)
			}
		},
	}
}

func TestAHubBeforeALogKeepsTheContract(t *testing.T) {
	for name, config := range map[string]stream.HubConfig{
		"WithRoom":      {},
		"WithATinyRing": {StreamBytes: 1000, TotalBytes: 1500, ReadBytes: 700},
	} {
		for place, apart := range map[string]bool{"OnOneReplica": false, "OnAnotherReplica": true} {
			t.Run(name+place, func(t *testing.T) {
				streamtest.Run(t, func(t *testing.T) streamtest.Subject { return subject(t, config, apart) })
			})
		}
	}
}

// A replica that takes a command over appends behind what its readers know of:
// nobody told it what the other one published last.
func TestHubTakeoverHasNoSeam(t *testing.T) {
	ctx := t.Context()
	for name, ring := range map[string]int{"WithRoom": 0, "WithATinyRing": 600} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			log, writer := newLogbook(), new(sync.Mutex)
			var owners []*replica
			for range 2 {
				owner := &replica{log: log, mu: writer, hub: stream.NewHub(stream.HubConfig{Log: log, StreamBytes: ring})}
				defer owner.hub.Close()
				owners = append(owners, owner)
			}
			var readers sync.WaitGroup
			defer readers.Wait()
			const last = 400
			for _, owner := range owners {
				sub, err := owner.Subscribe(ctx, id, 0)
				is.NoErr(err)
				readers.Go(func() {
					defer sub.Close()
					got, err := read(ctx, sub, last)
					if err != nil || !reflect.DeepEqual(got, batch(1, last, true)) {
						t.Errorf("got %d events, error %v", len(got), err)
					}
				})
			}
			for first := uint64(1); first < last; first += 10 {
				err := owners[first/50%2].Publish(ctx, id, batch(first, first+9, first+9 == last))
				is.NoErr(err)
			}
			for _, owner := range owners { // the poll that stands behind
				head, err := log.Head(ctx, id)
				is.NoErr(err)
				owner.hub.Advance(id, head)
			}
		})
	}
}
