package server

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// How long readers are told to wait before they come back.
const (
	retryLeast, retryMost = time.Second, 3 * time.Second
	drainLeast, drainMost = 2 * time.Second, 6 * time.Second
)

type connectedData struct {
	Project  string `json:"project"`
	StreamID string `json:"stream_id"`
	Resume   resume `json:"resume"`
	HeadSeq  uint64 `json:"head_seq"`
}

type gapData struct {
	From   uint64           `json:"from"`
	To     uint64           `json:"to"`
	Reason stream.GapReason `json:"reason"`
}

// A reader is one response that streams. It has no queue: it waits at the
// Subscription, and holds a buffer only while it writes.
type reader struct {
	s        *Server
	ctx      context.Context // of the request
	sub      *stream.Subscription
	out      sender
	streamID string
	project  string
	keyID    string     // of the key that let it in
	addr     netip.Addr // where it was presented from
	ends     time.Time
	expires  bool        // it ends because the key does
	sent     uint64      // the number of the last event that was
	gone     atomic.Bool // the caller has hung up
	release  func()      // gives back one of the key's streams
	resume   resume      // how the stream goes on
	first    []byte      // the first frames, until they are sent

	batches  bool // lines that are there together come as one event
	waits    bool // for a place, as far as is known
	position int  // in the queue, as last told

	mu     sync.Mutex
	denied error // why the key allows the stream no longer
}

// open lets a reader in. It takes sub and release over.
func (s *Server) open(x *exchange, sub *stream.Subscription, release func(), at cursor, verdict resume, waits bool) (rd *reader, err error) {
	head := sub.Head()
	rd = &reader{
		s: s, ctx: x.r.Context(), sub: sub, release: release, streamID: at.Stream, resume: verdict,
		project: x.project(), keyID: x.caller.KeyID, addr: x.addr, sent: at.Seq, waits: waits, batches: at.batches,
	}
	rd.ends, rd.expires = s.streamEnd(x.caller.ExpiresAt)
	if err = s.readers.enter(rd); err != nil {
		sub.Close()
		release()
		return nil, err
	}
	if err = rd.hold(); err == nil {
		rd.first, err = appendOwn(appendRetry(newFrames(), retryLeast, retryMost), at.Stream, eventConnected, at.Seq, connectedData{
			Project: rd.project, StreamID: at.Stream, Resume: rd.resume, HeadSeq: head.Seq,
		})
	}
	if err != nil {
		rd.close()
		return nil, err
	}
	return rd, nil
}

// stream answers with the reader's stream.
func (s *Server) stream(x *exchange, rd *reader, status int) error {
	x.streamed = true
	streamHeaders(x.Header())
	x.Header().Set("Rdev-Resume", string(rd.resume))
	if s.takeOver(x, rd, status) {
		return nil
	}
	defer rd.close()
	out, err := newResponseSender(x, s.cfg.WriteTimeout)
	if err != nil {
		return err
	}
	rd.attach(out)
	x.WriteHeader(status)
	first := rd.first
	rd.first = nil
	if x.cause = out.send(first); x.cause == nil {
		x.cause = rd.serve()
	}
	return nil
}

// streamEnd returns when a response that begins now is to end: never after its
// key, and whether that is why.
func (s *Server) streamEnd(expires time.Time) (ends time.Time, expired bool) {
	age := time.Duration((0.8 + 0.4*rand.Float64()) * float64(s.cfg.MaxStreamAge))
	ends = time.Now().Add(age)
	if !expires.IsZero() && expires.Before(ends) {
		return expires, true
	}
	return ends, false
}

func streamHeaders(h http.Header) {
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// hold has the reader's key watched until close. The admin key is in no store:
// it works for as long as the server does.
func (rd *reader) hold() error {
	if rd.keyID == auth.AdminID {
		return nil
	}
	key, known := rd.s.watch.Hold(rd.keyID)
	if !known {
		return nil // keyChanged is about to be told
	}
	return rd.check(key, nil)
}

func (rd *reader) close() {
	rd.sub.Close()
	if rd.keyID != auth.AdminID {
		rd.s.watch.Release(rd.keyID)
	}
	rd.release()
	rd.s.readers.leave(rd.sub)
}

// serve sends events until the stream ends, or the reader goes, or it has to
// come back: because the response is old, its key works no longer, or the
// server stops. It returns between two events, and an error only if the reader
// could not be sent what it should have.
func (rd *reader) serve() error {
	defer rd.out.end()
	defer rd.lagged()
	beat := time.Now().Add(rd.s.cfg.Heartbeat)
	for {
		if rd.waits {
			if err := rd.tellPosition(); err != nil {
				return err
			}
		}
		due := rd.due(beat)
		last := !due.Before(rd.ends)
		if last {
			due = rd.ends
		}
		// One context lasts from heartbeat to heartbeat, so that a busy
		// stream does not make one per batch.
		ctx, cancel := context.WithDeadline(rd.ctx, due)
		err := rd.copy(ctx)
		isDue := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case rd.gone.Load(), rd.ctx.Err() != nil:
			return nil
		case isDue && errors.Is(err, context.DeadlineExceeded):
			if last && rd.expires {
				return rd.sayDenied(auth.ErrUnauthenticated)
			}
			if last {
				return nil
			}
			if time.Now().Before(beat) {
				continue
			}
			rd.lagged()
			if err := rd.beat(); err != nil {
				return err
			}
			beat = time.Now().Add(rd.s.cfg.Heartbeat)
		case errors.Is(err, stream.ErrClosed):
			return rd.closed()
		case errors.Is(err, io.EOF): // closed without a terminal event
			return nil
		default:
			return err
		}
	}
}

// due is when serve has something to do besides: at the next heartbeat, or
// sooner to look where the command waits.
func (rd *reader) due(beat time.Time) time.Time {
	if look := time.Now().Add(positionInterval); rd.waits && look.Before(beat) {
		return look
	}
	return beat
}

// copy sends events until ctx ends or the stream does, which is nil.
func (rd *reader) copy(ctx context.Context) error {
	for {
		events, err := rd.sub.Next(ctx)
		var gap *stream.GapError
		switch {
		case errors.As(err, &gap):
			err = rd.gap(gap)
		case err == nil:
			err = rd.send(events)
			if err == nil && events[len(events)-1].Kind.Terminal() {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

func (rd *reader) send(events []stream.Event) error {
	buf := rd.s.buffers.get()
	defer rd.s.buffers.put(buf)
	var err error
	if *buf, err = appendEvents(*buf, rd.streamID, events, rd.batches); err != nil {
		return err
	}
	if err = rd.out.send(*buf); err == nil {
		rd.sent = events[len(events)-1].Seq
	}
	return err
}

// lagged tells the Observer how far the reader is behind.
func (rd *reader) lagged() {
	head := rd.sub.Head().Seq
	rd.s.cfg.Observer.Lagged(head - min(head, rd.sent))
}

func (rd *reader) gap(gap *stream.GapError) error {
	rd.s.cfg.Observer.GapTold(gap)
	frame, err := appendOwn(newFrames(), rd.streamID, eventGap, afterGap(gap), gapData{gap.From, gap.To, gap.Reason})
	if err != nil {
		return err
	}
	rd.sent = afterGap(gap)
	return rd.out.send(frame)
}

// beat tells the reader that the connection is alive, and where the stream
// ends, so that one that has missed something notices. It has no id.
func (rd *reader) beat() error {
	// By hand, because encoding/json would make the stack of every reader that
	// waits grow to twice its size.
	data := append(make([]byte, 0, 96), `{"timestamp":"`...)
	data = time.Now().UTC().AppendFormat(data, time.RFC3339Nano)
	data = append(data, `","head_seq":`...)
	data = append(strconv.AppendUint(data, rd.sub.Head().Seq, 10), '}')
	frame, err := sse.AppendEvent(newFrames(), "", eventHeartbeat, data)
	if err != nil {
		return err
	}
	return rd.out.send(frame)
}
