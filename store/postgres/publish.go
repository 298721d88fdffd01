package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/internal/chunk"
	"github.com/orchard9/rdev/stream"
)

// Bounds of a group of appends that is committed as one.
const (
	groupBatches = 64
	groupBytes   = 4 << 20
	commitLanes  = 2
	commitTime   = 6 * time.Second // above the server's statement_timeout
)

// A publisher commits what all publishers of this process append, in groups:
// what came while one group was being committed is the next. Two groups are
// under way at a time, so that encoding one overlaps with flushing another.
type publisher struct {
	db      *sqlx.DB
	hub     *stream.Hub
	log     *log
	wakeups *wakeups
	queue   chan *appending
	stopped chan struct{} // closed when nothing takes from queue any more
}

// An appending is one call of Publish.
type appending struct {
	streamID string
	chunks   []chunk.Chunk // of fresh events, as far as is known
	terminal bool          // the last event is
	answer   chan error    // nil when committed, errStale when the stream ends elsewhere

	// left is set when nobody waits for the answer any more. What is committed
	// then is told to the readers by who commits.
	left atomic.Bool
}

func (a *appending) first() uint64 { return a.chunks[0].First }
func (a *appending) last() uint64  { return a.chunks[len(a.chunks)-1].Last }

func (a *appending) size() (bytes int) {
	for _, c := range a.chunks {
		bytes += len(c.Events)
	}
	return bytes
}

// errStale: the stream's end is not where the batch begins.
var errStale = errors.New("store/postgres: the stream ends elsewhere")

func newPublisher(db *sqlx.DB, hub *stream.Hub, log *log, w *wakeups) *publisher {
	return &publisher{db: db, hub: hub, log: log, wakeups: w, queue: make(chan *appending, groupBatches), stopped: make(chan struct{})}
}

// publish appends events. It assumes at first that they begin where the stream
// ends, which is so for the one owner of a command, and asks only if not.
func (p *publisher) publish(ctx context.Context, streamID string, events []stream.Event) error {
	if err := stream.Check(events); err != nil || len(events) == 0 {
		return err
	}
	if !utf8.ValidString(streamID) || strings.Contains(streamID, "\x00") {
		// It would fail the group, and with it what others publish.
		return fmt.Errorf("%w: the stream id %q is no text", stream.ErrInvalid, streamID)
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	fresh := events
	for {
		err := p.append(ctx, streamID, fresh)
		if err == nil {
			p.hub.Append(streamID, fresh)
			p.wakeups.tell(streamID, news{seq: fresh[len(fresh)-1].Seq})
			return nil
		}
		if err != errStale {
			return err
		}
		head, err := p.log.Head(ctx, streamID)
		if err != nil {
			return err
		}
		// Another process has appended, or this one, whose answer was lost.
		p.hub.Advance(streamID, head)
		p.wakeups.tell(streamID, news{seq: head.Seq})
		if fresh, err = head.Fresh(events); err != nil || len(fresh) == 0 {
			return err
		}
	}
}

// append has the events committed if the stream ends where they begin.
func (p *publisher) append(ctx context.Context, streamID string, events []stream.Event) error {
	a := &appending{
		streamID: streamID, chunks: chunk.Encode(events), terminal: events[len(events)-1].Kind.Terminal(),
		answer: make(chan error, 1),
	}
	select {
	case p.queue <- a:
	case <-p.stopped:
		return stream.ErrClosed
	case <-ctx.Done():
		return failed(ctx, "publish", ctx.Err())
	}
	var left error
	select {
	case err := <-a.answer:
		return err
	case <-p.stopped:
		left = stream.ErrClosed
	case <-ctx.Done():
		left = failed(ctx, "publish", ctx.Err()) // it may be committed: the caller's retry finds out
	}
	a.left.Store(true)
	select { // whoever set left, or answered, second sees the other
	case err := <-a.answer:
		return err
	default:
		return left
	}
}

// run commits until ctx ends, and then what is queued.
func (p *publisher) run(ctx context.Context) {
	defer close(p.stopped)
	var lanes sync.WaitGroup
	for range commitLanes {
		lanes.Go(func() { p.commitForEver(ctx) })
	}
	lanes.Wait()
}

func (p *publisher) commitForEver(ctx context.Context) {
	for {
		select {
		case a := <-p.queue:
			p.commit(context.WithoutCancel(ctx), p.group(a))
		case <-ctx.Done():
			select {
			case a := <-p.queue:
				p.commit(context.WithoutCancel(ctx), p.group(a))
			default:
				return
			}
		}
	}
}

// group takes what else is queued, without waiting.
func (p *publisher) group(first *appending) []*appending {
	group := []*appending{first}
	for bytes := first.size(); len(group) < groupBatches && bytes < groupBytes; {
		select {
		case a := <-p.queue:
			group = append(group, a)
			bytes += a.size()
		default:
			return group
		}
	}
	return group
}

// commit appends a group in one statement and answers everybody in it. What
// nobody waits for any more is left out: its caller was told that it failed.
func (p *publisher) commit(ctx context.Context, group []*appending) {
	// One batch a stream: a statement cannot change a row twice.
	var batch, later []*appending
	seen := make(map[string]bool, len(group))
	for _, a := range group {
		switch {
		case a.left.Load():
		case seen[a.streamID]:
			later = append(later, a)
		default:
			seen[a.streamID] = true
			batch = append(batch, a)
		}
	}
	if len(batch) == 0 {
		return
	}
	grown, err := p.grow(ctx, batch)
	for _, a := range batch {
		switch {
		case err != nil:
			a.answer <- err
		case !grown[a.streamID]:
			a.answer <- errStale
		default:
			a.answer <- nil
			if a.left.Load() {
				p.hub.Advance(a.streamID, stream.Head{Seq: a.last(), Terminal: a.terminal, Closed: a.terminal})
				p.wakeups.tell(a.streamID, news{seq: a.last()})
			}
		}
	}
	p.commit(ctx, later)
}
