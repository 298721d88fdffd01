package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/orchard9/rdev/rdev"
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

type heartbeatData struct {
	Timestamp time.Time `json:"timestamp"`
	HeadSeq   uint64    `json:"head_seq"`
}

type gapData struct {
	From   uint64           `json:"from"`
	To     uint64           `json:"to"`
	Reason stream.GapReason `json:"reason"`
}

// events streams the events of a command.
func (s *Server) events(x *exchange) error {
	if !acceptsEvents(x.r.Header) {
		return &apiError{code: rdev.CodeNotAcceptable, message: "this route answers with text/event-stream"}
	}
	values, err := x.query("stream_id", lastEventIDParam)
	if err != nil {
		return err
	}
	streamID := values.Get("stream_id")
	if streamID == "" {
		return invalid("stream_id", "is missing")
	}
	at, err := readCursor(x, values, streamID)
	if err != nil {
		return err
	}
	var sub *stream.Subscription
	var cmd rdev.Command
	apart(func() { sub, cmd, err = s.svc.Subscribe(x.r.Context(), x.caller, x.project(), streamID, at.Seq) })
	if err != nil {
		return err
	}
	defer sub.Close()
	head := sub.Head()
	verdict, err := decide(at, head, cmd.State)
	if errors.Is(err, errFinished) {
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.readers.enter(sub, x, s.watch); err != nil {
		return err
	}
	defer s.readers.leave(sub)
	rd := s.newReader(x, sub, streamID)
	if err := rd.connect(at, head, verdict); err != nil {
		if x.status == 0 {
			return err
		}
		x.cause = err
		return nil
	}
	rd.serve()
	return nil
}

// acceptsEvents reports whether the caller takes text/event-stream. Without an
// Accept header it takes anything.
func acceptsEvents(h http.Header) bool {
	accepts := h.Values("Accept")
	if len(accepts) == 0 {
		return true
	}
	for _, header := range accepts {
		for accepted := range strings.SplitSeq(header, ",") {
			media, params, err := mime.ParseMediaType(accepted)
			if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
				continue
			}
			if media == "text/event-stream" || media == "text/*" || media == "*/*" {
				return true
			}
		}
	}
	return false
}

// A reader is one response that streams. It has no goroutine of its own and
// no queue: it waits at the Subscription.
type reader struct {
	s    *Server
	x    *exchange
	sub  *stream.Subscription
	w    frameWriter
	ends time.Time
}

func (s *Server) newReader(x *exchange, sub *stream.Subscription, streamID string) *reader {
	age := time.Duration((0.8 + 0.4*rand.Float64()) * float64(s.cfg.MaxStreamAge))
	ends := time.Now().Add(age)
	if expires := x.caller.ExpiresAt; !expires.IsZero() && expires.Before(ends) {
		ends = expires
	}
	control := http.NewResponseController(x.ResponseWriter)
	return &reader{s: s, x: x, sub: sub, ends: ends, w: frameWriter{x, control, s.cfg.WriteTimeout, streamID}}
}

// connect sends the header and the first event. Its id is where the reader
// stands, so that one that loses the connection before the first output comes
// back to the same place.
func (rd *reader) connect(at cursor, head stream.Head, verdict resume) error {
	if err := rd.w.check(); err != nil {
		return err
	}
	streamHeaders(rd.x.Header())
	rd.x.Header().Set("Rdev-Resume", string(verdict))
	frame := appendRetry(nil, retryLeast, retryMost)
	frame, err := rd.w.appendOwn(frame, eventConnected, at.Seq, connectedData{
		Project: rd.x.project(), StreamID: rd.w.streamID, Resume: verdict, HeadSeq: head.Seq,
	})
	if err != nil {
		return err
	}
	rd.x.WriteHeader(http.StatusOK)
	return rd.w.write(frame)
}

func streamHeaders(h http.Header) {
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// serve sends events until the stream ends, or the reader goes, or it has to
// come back: because the response is old, its key works no longer, or the
// server stops. It returns between two events.
func (rd *reader) serve() {
	defer rd.w.end()
	for {
		beat := time.Now().Add(rd.s.cfg.Heartbeat)
		last := !beat.Before(rd.ends)
		if last {
			beat = rd.ends
		}
		// One context lasts from heartbeat to heartbeat, so that a busy
		// stream does not make one per batch.
		ctx, cancel := context.WithDeadline(rd.x.r.Context(), beat)
		err := rd.copy(ctx)
		due := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case due && !last && errors.Is(err, context.DeadlineExceeded):
			if err := rd.beat(); err != nil {
				rd.x.cause = err
				return
			}
		case errors.Is(err, stream.ErrClosed): // Drain, watch, or the broker stops
			rd.x.cause = rd.w.write(appendRetry(nil, drainLeast, drainMost))
			return
		default:
			rd.x.cause = err
			return
		}
	}
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
	if *buf, err = rd.w.appendEvents(*buf, events); err != nil {
		return err
	}
	return rd.w.write(*buf)
}

func (rd *reader) gap(gap *stream.GapError) error {
	frame, err := rd.w.appendOwn(nil, eventGap, afterGap(gap), gapData{gap.From, gap.To, gap.Reason})
	if err != nil {
		return err
	}
	return rd.w.write(frame)
}

// beat tells the reader that the connection is alive, and where the stream
// ends, so that one that has missed something notices. It has no id.
func (rd *reader) beat() error {
	frame, err := sse.AppendEvent(nil, "", eventHeartbeat, encode(heartbeatData{time.Now().UTC(), rd.sub.Head().Seq}))
	if err != nil {
		return err
	}
	return rd.w.write(frame)
}
