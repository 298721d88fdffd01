package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/stream"
)

// Wakeups names what wakes the readers of streams that other replicas publish.
type Wakeups string

// The ways. With either a reader misses nothing; they differ in latency.
const (
	// WakeupsNotify: LISTEN works; what was sent has come back.
	WakeupsNotify Wakeups = "notify"
	// WakeupsPoll: the ends of watched streams are asked for, ten times a
	// second, because LISTEN is switched off, broken, or silently dead behind
	// a pooler in transaction mode.
	WakeupsPoll Wakeups = "poll"
)

const (
	channel    = "rdev_streams"
	keyChannel = "rdev_keys" // a payload is the id of a key that was changed

	maxPayload    = 7900 // bytes; Postgres takes fewer than 8000
	sendInterval  = 2 * time.Millisecond
	pollInterval  = 100 * time.Millisecond // of watched streams without NOTIFY
	backstop      = time.Second            // and with it
	echoInterval  = 4 * time.Second
	echoPatience  = 3 * echoInterval
	headsPerQuery = 1000
)

// wakeups tells other replicas which streams have grown, and hears it from
// them. Nothing depends on it but latency: whatever is missed is found by the
// poll.
//
// A payload is id:seq for each stream, or id:seq:c if it was closed, joined by
// semicolons.
type wakeups struct {
	db   *sqlx.DB // of one connection, which NOTIFY has for itself
	hub  *stream.Hub
	log  *log
	keys *auth.Changes
	opts Options

	mu      sync.Mutex
	pending map[string]news
	work    chan struct{} // something is pending
	poll    chan struct{} // poll now

	echo  string       // a stream id of nobody's, by which this replica hears itself
	heard atomic.Int64 // when it last did, in Unix nanoseconds; zero: not since LISTEN broke
}

type news struct {
	seq    uint64
	closed bool
}

func newWakeups(db *sqlx.DB, hub *stream.Hub, log *log, keys *auth.Changes, opts Options) *wakeups {
	return &wakeups{
		db: db, hub: hub, log: log, keys: keys, opts: opts,
		pending: make(map[string]news),
		work:    make(chan struct{}, 1), poll: make(chan struct{}, 1),
		echo: "." + rand.Text(),
	}
}

func (w *wakeups) status() Wakeups {
	if heard := w.heard.Load(); heard != 0 && time.Since(time.Unix(0, heard)) < echoPatience {
		return WakeupsNotify
	}
	return WakeupsPoll
}

// run works until ctx ends.
func (w *wakeups) run(ctx context.Context) {
	var workers sync.WaitGroup
	workers.Go(func() { w.pollForEver(ctx) })
	workers.Go(func() { w.reportForEver(ctx) })
	if !w.opts.PollOnly {
		workers.Go(func() { w.sendForEver(ctx) })
		workers.Go(func() { w.listenForEver(ctx) })
		workers.Go(func() { w.echoForEver(ctx) })
	}
	workers.Wait()
}

// tell has the other replicas told, soon, that the stream ends at seq.
func (w *wakeups) tell(streamID string, n news) {
	if w.opts.PollOnly {
		return
	}
	w.mu.Lock()
	was := w.pending[streamID]
	w.pending[streamID] = news{seq: max(was.seq, n.seq), closed: was.closed || n.closed}
	w.mu.Unlock()
	kick(w.work)
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sendForEver sends what is pending, at most one statement per sendInterval:
// NOTIFY takes a lock that all who notify commit under, one after the other.
func (w *wakeups) sendForEver(ctx context.Context) {
	for {
		select {
		case <-w.work:
		case <-ctx.Done():
			return
		}
		for _, payload := range w.payloads() {
			if err := w.send(ctx, payload); err != nil && ctx.Err() == nil {
				w.opts.OnError(err)
				pause(ctx, backstop)
			}
		}
		pause(ctx, sendInterval)
	}
}

// send notifies. It does not wait for the disk: a notification is no promise.
func (w *wakeups) send(ctx context.Context, payload string) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	_, err := w.db.ExecContext(ctx, `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, channel, payload)
	return failed(ctx, "notify", err)
}

// payloads takes what is pending.
func (w *wakeups) payloads() []string {
	w.mu.Lock()
	pending := w.pending
	w.pending = make(map[string]news)
	w.mu.Unlock()
	var all []string
	var b strings.Builder
	for id, n := range pending {
		item := id + ":" + strconv.FormatUint(n.seq, 10)
		if n.closed {
			item += ":c"
		}
		if b.Len()+len(item)+1 > maxPayload {
			all = append(all, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(item)
	}
	return append(all, b.String())
}

// hear takes in a payload. What cannot be read is passed over: anybody who may
// connect to the database can notify.
func (w *wakeups) hear(payload string) {
	for item := range strings.SplitSeq(payload, ";") {
		item, closed := strings.CutSuffix(item, ":c")
		i := strings.LastIndexByte(item, ':')
		if i < 0 {
			continue
		}
		seq, err := strconv.ParseUint(item[i+1:], 10, 63)
		if err != nil {
			continue
		}
		if id := item[:i]; id == w.echo {
			w.heard.Store(time.Now().UnixNano())
		} else {
			w.hub.Advance(id, stream.Head{Seq: seq, Closed: closed})
		}
	}
}

// reportForEver tells what wakes readers. A listener that was just replaced is
// no news.
func (w *wakeups) reportForEver(ctx context.Context) {
	var told, seen Wakeups
	for ; ctx.Err() == nil; pause(ctx, backstop) {
		status := w.status()
		if status != told && (status == seen || status == WakeupsNotify) {
			told = status
			w.opts.OnWakeups(status)
		}
		seen = status
	}
}

// echoForEver notifies this replica itself, which is the one way to find out
// that notifications arrive.
func (w *wakeups) echoForEver(ctx context.Context) {
	for n := uint64(0); ctx.Err() == nil; n++ {
		w.tell(w.echo, news{seq: n})
		pause(ctx, echoInterval)
	}
}

// pollForEver asks for the ends of the streams that somebody here reads.
func (w *wakeups) pollForEver(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		interval := backstop
		if w.status() == WakeupsPoll && !failing {
			interval = pollInterval
		}
		timer := time.NewTimer(interval)
		select {
		case <-timer.C:
		case <-w.poll:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
		err := w.pollOnce(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			w.opts.OnError(fmt.Errorf("store/postgres: poll: %w", err))
		}
		failing = err != nil
	}
}

func (w *wakeups) pollOnce(ctx context.Context) error {
	watched := w.hub.Watched()
	ids := make([]string, 0, min(len(watched), headsPerQuery))
	ask := func() error {
		heads, err := w.log.heads(ctx, ids)
		for id, head := range heads {
			w.hub.Advance(id, head)
		}
		ids = ids[:0]
		return err
	}
	for id := range watched {
		if ids = append(ids, id); len(ids) == headsPerQuery {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return ask()
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
