package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/orchard9/rdev/stream/sse"
)

// The events of the API.
const (
	eventConnected = "connected"
	eventOutput    = "output"
	eventGap       = "gap"
	eventDenied    = "denied"
	eventQueued    = "queued"
	eventComplete  = "complete"
	eventError     = "error"
)

// lineEnd is between the lines of an output event.
var lineEnd = []byte{'\n'}

var errSilent = errors.New("client: the stream was silent for too long")

// connect reads one response. It returns the End if the terminal event was in
// it, and otherwise always an error.
func (f *follower) connect(ctx context.Context) (End, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.c.silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	f.clean = false

	req, err := f.request(ctx)
	if err != nil {
		return End{}, err
	}
	resp, err := f.c.http.Do(req)
	if err != nil {
		return End{}, broken(ctx, err)
	}
	defer resp.Body.Close()
	f.c.noteExpiry(resp)
	switch media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case resp.StatusCode == http.StatusNoContent:
		return End{}, errFinished
	case resp.StatusCode != http.StatusOK:
		return End{}, readError(resp)
	case media != "text/event-stream":
		return End{}, fmt.Errorf("%w: the answer is %q and no stream of events", errProtocol, media)
	}
	body := &bodyReader{body: resp.Body, f: f, watchdog: watchdog}
	decoder := sse.NewDecoder(body, nil)
	end, err := f.read(decoder)
	if retry, said := decoder.Retry(); said {
		f.retry = min(retry, time.Minute)
	}
	if err == nil {
		return end, nil
	}
	if f.sinkErr == nil {
		// What arrived whole before the cut is not asked for again.
		if flushErr := f.flush(); flushErr != nil {
			return End{}, flushErr
		}
	}
	return End{}, broken(ctx, err)
}

// broken returns why the watchdog ended a response, if it did.
func broken(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// read takes events until the terminal one.
func (f *follower) read(decoder *sse.Decoder) (End, error) {
	for {
		event, err := decoder.Next()
		if err != nil {
			f.clean = errors.Is(err, io.EOF)
			return End{}, err
		}
		switch event.Name {
		case eventConnected:
			f.heard = time.Now()
			err = f.connected(event)
		case eventOutput:
			err = f.output(event)
		case eventGap:
			err = f.gap(event)
		case eventQueued:
			err = f.position(event)
		case eventDenied:
			return End{}, denied(event)
		case eventComplete, eventError:
			return f.end(event)
		}
		if err != nil {
			return End{}, err
		}
	}
}

// denied is the answer that the server would give if the reader came back.
func denied(event sse.Event) error {
	var data struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(event.Data, &data); err != nil {
		return fmt.Errorf("%w: decode %s event: %w", errProtocol, event.Name, err)
	}
	e := &Error{Code: data.Code, Message: data.Message}
	switch e.Code {
	case Forbidden:
		e.Status = http.StatusForbidden
	case ProjectNotFound:
		e.Status = http.StatusNotFound
	default:
		e.Status = http.StatusUnauthorized
	}
	return e
}

// connected takes the end of a Read from the first response.
func (f *follower) connected(event sse.Event) error {
	if !f.toHead {
		return nil
	}
	var data struct {
		HeadSeq uint64 `json:"head_seq"`
	}
	if err := json.Unmarshal(event.Data, &data); err != nil {
		return fmt.Errorf("%w: decode connected event: %w", errProtocol, err)
	}
	f.head = max(f.head, data.HeadSeq)
	return f.atHead()
}

// atHead returns errAtHead once a Read has everything.
func (f *follower) atHead() error {
	if f.toHead && f.last >= f.head {
		return errAtHead
	}
	return nil
}

// position tells where the command waits.
func (f *follower) position(event sse.Event) error {
	var data struct {
		Position int `json:"position"`
	}
	if err := json.Unmarshal(event.Data, &data); err != nil {
		return fmt.Errorf("%w: decode queued event: %w", errProtocol, err)
	}
	f.c.queued(data.Position)
	return nil
}

func (f *follower) output(event sse.Event) error {
	last, ok := f.seqOf(event.ID)
	n := uint64(bytes.Count(event.Data, lineEnd)) + 1
	switch {
	case !ok || n > last:
		return fmt.Errorf("%w: an output event of %d lines has the id %q", errProtocol, n, event.ID)
	case last <= f.last:
		return nil
	case last-n > f.last:
		return fmt.Errorf("%w: line %d follows line %d", errProtocol, last-n+1, f.last)
	}
	seq := last - n
	for data := range bytes.SplitSeq(event.Data, lineEnd) {
		if seq++; seq <= f.last {
			continue
		}
		if err := f.line(seq, data); err != nil {
			return err
		}
	}
	return nil
}

// line takes a line of an output event.
func (f *follower) line(seq uint64, data []byte) error {
	if err := f.batch.addOutput(seq, data); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	f.last = seq
	f.delay.reset()
	if f.batch.full() {
		if err := f.flush(); err != nil {
			return err
		}
	}
	return f.atHead()
}

func (f *follower) gap(event sse.Event) error {
	var gap Gap
	seq, ok := f.seqOf(event.ID)
	if err := json.Unmarshal(event.Data, &gap); err != nil || !ok {
		return fmt.Errorf("%w: a gap event with the id %q", errProtocol, event.ID)
	}
	f.batch.addGap(seq, gap)
	f.last = seq
	return f.atHead()
}

func (f *follower) end(event sse.Event) (End, error) {
	var end End
	if err := json.Unmarshal(event.Data, &end); err != nil {
		return End{}, fmt.Errorf("%w: decode %s event: %w", errProtocol, event.Name, err)
	}
	return end, f.flush()
}

// flush hands the batch over.
func (f *follower) flush() error {
	if len(f.batch.events) == 0 {
		return nil
	}
	f.sinkErr = f.sink(f.batch.events)
	f.heard = time.Now() // what sink took was not the server's silence
	f.batch.reset()
	return f.sinkErr
}

// seqOf returns the number in the id of an event of this stream.
func (f *follower) seqOf(id string) (uint64, bool) {
	at, err := sse.ParseCursor(id)
	return at.Seq, err == nil && at.Stream == f.id && !at.Final
}

// A bodyReader hands the batch over before it waits for more: then the decoder
// has nothing whole left, and sink gets lines as soon as they are here. The
// watchdog runs while it waits.
type bodyReader struct {
	body     io.Reader
	f        *follower
	watchdog *time.Timer
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if err := b.f.flush(); err != nil {
		return 0, err
	}
	b.watchdog.Reset(b.f.c.silence)
	n, err := b.body.Read(p)
	b.watchdog.Stop() // sink may take its time
	if n > 0 {
		b.f.heard = time.Now()
	}
	return n, err
}
