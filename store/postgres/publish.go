package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

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
	wakeups *wakeups
	queue   chan *appending
	stopped chan struct{} // closed when nothing takes from queue any more
}

// An appending is one call of Publish.
type appending struct {
	streamID string
	events   []stream.Event // fresh ones, as far as is known
	packed   []byte
	answer   chan error // nil when committed, errStale when the stream ends elsewhere
}

// errStale: the stream's end is not where the batch begins.
var errStale = fmt.Errorf("store/postgres: the stream ends elsewhere")

func newPublisher(db *sqlx.DB, hub *stream.Hub, w *wakeups) *publisher {
	return &publisher{db: db, hub: hub, wakeups: w, queue: make(chan *appending, groupBatches), stopped: make(chan struct{})}
}

// publish appends events. It assumes at first that they begin where the stream
// ends, which is so for the one owner of a command, and asks only if not.
func (p *publisher) publish(ctx context.Context, streamID string, events []stream.Event) error {
	if err := stream.Check(events); err != nil || len(events) == 0 {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	fresh := events
	for {
		err := p.append(ctx, streamID, fresh)
		if err == nil {
			p.hub.Append(streamID, fresh)
			last := fresh[len(fresh)-1]
			p.wakeups.tell(streamID, news{seq: last.Seq})
			return nil
		}
		if err != errStale {
			return err
		}
		head, err := (&log{db: p.db}).Head(ctx, streamID)
		if err != nil {
			return err
		}
		if fresh, err = head.Fresh(events); err != nil || len(fresh) == 0 {
			return err
		}
	}
}

// append has the events committed if the stream ends where they begin.
func (p *publisher) append(ctx context.Context, streamID string, events []stream.Event) error {
	packed, err := chunk.Append(make([]byte, 0, chunk.Size(events)), events)
	if err != nil {
		return err
	}
	a := &appending{streamID: streamID, events: events, packed: packed, answer: make(chan error, 1)}
	select {
	case p.queue <- a:
	case <-p.stopped:
		return stream.ErrClosed
	case <-ctx.Done():
		return failed(ctx, "publish", ctx.Err())
	}
	select {
	case err := <-a.answer:
		return err
	case <-p.stopped:
		return stream.ErrClosed
	case <-ctx.Done():
		return failed(ctx, "publish", ctx.Err()) // it may be committed: the caller's retry finds out
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
	for bytes := len(first.packed); len(group) < groupBatches && bytes < groupBytes; {
		select {
		case a := <-p.queue:
			group = append(group, a)
			bytes += len(a.packed)
		default:
			return group
		}
	}
	return group
}

// appendSQL appends a chunk to each stream that ends where the chunk begins,
// and returns those streams. A stream's row is made by its first chunk. The
// rows are locked in the order of their ids, so that two replicas cannot block
// each other.
const appendSQL = `
WITH batch AS (
	SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bytea[]) AS b (id, first, last, terminal, events)
), grown AS (
	INSERT INTO streams AS s (id, last_chunk, head, terminal, closed)
	SELECT id, first, last, terminal, terminal FROM batch
	WHERE first = 1 OR EXISTS (SELECT FROM streams WHERE streams.id = batch.id)
	ORDER BY id
	ON CONFLICT (id) DO UPDATE SET last_chunk = excluded.last_chunk, head = excluded.head, terminal = excluded.terminal, closed = excluded.closed
	WHERE s.head = excluded.last_chunk - 1 AND NOT s.closed
	RETURNING id
), kept AS (
	INSERT INTO chunks (stream_id, first, last, events)
	SELECT id, first, last, events FROM batch JOIN grown USING (id)
)
SELECT id FROM grown`

// commit appends a group in one statement and answers everybody in it.
func (p *publisher) commit(ctx context.Context, group []*appending) {
	// One chunk a stream: a statement cannot change a row twice.
	var later []*appending
	streams := make(map[string]*appending, len(group))
	for _, a := range group {
		if streams[a.streamID] == nil {
			streams[a.streamID] = a
		} else {
			later = append(later, a)
		}
	}
	grown, err := p.grow(ctx, streams)
	for id, a := range streams {
		switch {
		case err != nil:
			a.answer <- err
		case !grown[id]:
			a.answer <- errStale
		default:
			a.answer <- nil
		}
	}
	if len(later) > 0 {
		p.commit(ctx, later)
	}
}

func (p *publisher) grow(ctx context.Context, streams map[string]*appending) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	batch := make([]*appending, 0, len(streams))
	for _, a := range streams {
		batch = append(batch, a)
	}
	slices.SortFunc(batch, func(a, b *appending) int { return cmp.Compare(a.streamID, b.streamID) })
	var (
		ids          = make([]string, len(batch))
		first, last  = make([]int64, len(batch)), make([]int64, len(batch))
		terminal     = make([]bool, len(batch))
		packed       = make([][]byte, len(batch))
		grownStreams []string
	)
	for i, a := range batch {
		end := a.events[len(a.events)-1]
		ids[i], first[i], last[i], terminal[i], packed[i] = a.streamID, int64(a.events[0].Seq), int64(end.Seq), end.Kind.Terminal(), a.packed
	}
	err := p.db.SelectContext(ctx, &grownStreams, appendSQL, pq.Array(ids), pq.Array(first), pq.Array(last), pq.Array(terminal), pq.Array(packed))
	if err != nil {
		return nil, failed(ctx, "append", err)
	}
	grown := make(map[string]bool, len(grownStreams))
	for _, id := range grownStreams {
		grown[id] = true
	}
	return grown, nil
}
