package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/stream/sse"
)

// Follow reads the output of a command from the line after on, zero for all,
// and returns how it ended. It blocks until then.
//
// sink gets the events in order, each once, in batches of what has arrived; it
// is called from this goroutine, and while it blocks the server is not read
// from. An error of sink ends Follow, which returns it.
//
// When the connection is cut, or is silent for too long, or the server asks for
// it, Follow connects again and goes on where it was: no line is lost and none
// comes twice. Where the server no longer has lines, sink is given a Gap. It
// gives up, with the last failure, when it has not heard from the server for
// Options.ReconnectTimeout, and at once when the server refuses (an *Error:
// Gone, for example, when the output is retained no longer).
func (c *Client) Follow(ctx context.Context, project, id string, after uint64, sink func([]Event) error) (End, error) {
	f := &follower{c: c, project: project, id: id, last: after, sink: sink, heard: time.Now()}
	return f.run(ctx)
}

// Read is Follow without waiting for more: it returns once sink has had what
// the server had when it was asked. The end is nil if that was not all, because
// the command has not ended.
func (c *Client) Read(ctx context.Context, project, id string, after uint64, sink func([]Event) error) (*End, error) {
	f := &follower{c: c, project: project, id: id, last: after, sink: sink, heard: time.Now(), toHead: true}
	end, err := f.run(ctx)
	if errors.Is(err, errAtHead) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &end, nil
}

// run is Follow and Read.
func (f *follower) run(ctx context.Context) (End, error) {
	for {
		end, err := f.connect(ctx)
		switch {
		case err == nil:
			return end, nil
		case ctx.Err() != nil:
			return End{}, ctx.Err()
		case f.sinkErr != nil:
			return End{}, f.sinkErr
		case errors.Is(err, errFinished):
			return f.recorded(ctx)
		case errors.Is(err, errAtHead):
			return End{}, err
		case !worthRetrying(err):
			return End{}, err
		}
		wait := f.wait(err)
		if silent := time.Since(f.heard) + wait; !f.clean && silent > f.c.patience {
			return End{}, fmt.Errorf("client: follow %s: nothing heard for %v: %w", f.id, silent.Round(time.Second), err)
		}
		if !f.clean {
			f.c.lost(err)
		}
		if err := sleep(ctx, wait); err != nil {
			return End{}, err
		}
		f.again = true
	}
}

// errFinished: the server says that there is nothing left to read.
var errFinished = errors.New("client: the stream has been read to its end")

// errAtHead ends a Read.
var errAtHead = errors.New("client: everything that is there was read")

// errProtocol: the server sent what it must not send. Reading on would lose or
// repeat lines.
var errProtocol = errors.New("client: protocol violation")

// worthRetrying reports whether a reader may come back after the failure.
func worthRetrying(err error) bool {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.temporary() || answer.Status >= http.StatusInternalServerError
	}
	return !errors.Is(err, errProtocol)
}

// A follower is one call of Follow.
type follower struct {
	c           *Client
	project, id string
	sink        func([]Event) error
	sinkErr     error

	toHead bool   // Read, not Follow
	head   uint64 // where a Read ends; zero before it is known

	last  uint64    // Seq of the last line that sink has, or is about to have
	again bool      // this is not the first connection
	heard time.Time // when the server was last heard from
	retry time.Duration
	clean bool // the server ended the response itself
	delay backoff
	batch batch
}

// wait returns how long to wait before the next connection. What the server
// asked for counts if it ended the response itself; one that was cut is
// restored at once, and then ever more slowly.
func (f *follower) wait(err error) time.Duration {
	var answer *Error
	switch {
	case errors.As(err, &answer):
		return max(f.delay.next(), answer.RetryAfter)
	case f.clean && f.retry > 0:
		return f.retry
	}
	return f.delay.next()
}

// recorded returns the end of a command whose terminal event was read before.
func (f *follower) recorded(ctx context.Context) (End, error) {
	cmd, err := f.c.Command(ctx, f.project, f.id)
	if err != nil {
		return End{}, err
	}
	return endOf(cmd), nil
}

func (f *follower) request(ctx context.Context) (*http.Request, error) {
	req, err := f.c.request(ctx, http.MethodGet, projectPath(f.project)+"/events?output=batches&stream_id="+url.QueryEscape(f.id), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	if f.last > 0 || f.again {
		req.Header.Set("Last-Event-ID", sse.Cursor{Stream: f.id, Seq: f.last}.String())
	}
	return req, nil
}
