package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/orchard9/rdev/stream"
)

// event returns the event with that number. Everybody who makes it makes the
// same one, so a reader can tell whether it got the right bytes.
func event(seq uint64) stream.Event {
	text := strings.Repeat("x", int(seq*7%90))
	return stream.Event{
		Seq:  seq,
		Kind: stream.Output,
		Data: fmt.Appendf(nil, `{"line":"%s line %d \r ü","stream":"stdout"}`, text, seq),
	}
}

// terminal is event as the last of its stream.
func terminal(seq uint64) stream.Event {
	return stream.Event{Seq: seq, Kind: stream.Complete, Data: fmt.Appendf(nil, `{"exit_code":0,"duration_ms":%d}`, seq)}
}

// events returns the events from first to last.
func events(first, last uint64) []stream.Event {
	var all []stream.Event
	for seq := first; seq <= last; seq++ {
		all = append(all, event(seq))
	}
	return all
}

// differ says how got is not want, or nothing.
func differ(got, want []stream.Event) string {
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Seq != w.Seq || g.Kind != w.Kind || !bytes.Equal(g.Data, w.Data) {
			return fmt.Sprintf("event %d is %d %s %.80q, want %d %s %.80q", i, g.Seq, g.Kind, g.Data, w.Seq, w.Kind, w.Data)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("got %d events, want %d", len(got), len(want))
	}
	return ""
}

func publish(ctx context.Context, t *testing.T, b stream.Broker, all ...stream.Event) {
	t.Helper()
	if err := b.Publish(ctx, id, all); err != nil {
		t.Fatalf("Publish of %d events: %v", len(all), err)
	}
}

// refuse publishes events that must be refused with want.
func refuse(ctx context.Context, t *testing.T, b stream.Broker, want error, all ...stream.Event) {
	t.Helper()
	if err := b.Publish(ctx, id, all); !errors.Is(err, want) {
		t.Fatalf("Publish of %d events: got error %v, want %v", len(all), err, want)
	}
}

func subscribe(ctx context.Context, t *testing.T, b stream.Broker, after uint64) *stream.Subscription {
	t.Helper()
	sub, err := b.Subscribe(ctx, id, after)
	if err != nil {
		t.Fatalf("Subscribe after %d: %v", after, err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// take reads until it has the event with Seq through. It fails on a gap.
func take(ctx context.Context, sub *stream.Subscription, through uint64) ([]stream.Event, error) {
	var all []stream.Event
	for len(all) == 0 || all[len(all)-1].Seq < through {
		got, err := sub.Next(ctx)
		if err != nil {
			return all, fmt.Errorf("after %d events: %w", len(all), err)
		}
		if len(got) == 0 {
			return all, errors.New("neither events nor an error from Next")
		}
		all = append(all, got...)
	}
	return all, nil
}

// drain reads to the end of the stream. It fails on a gap.
func drain(ctx context.Context, sub *stream.Subscription) ([]stream.Event, error) {
	var all []stream.Event
	for {
		got, err := sub.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, fmt.Errorf("after %d events: %w", len(all), err)
		case len(got) == 0:
			return all, errors.New("neither events nor an error from Next")
		}
		all = append(all, got...)
	}
}

// expect reads the stream behind after with a new reader and compares.
func expect(ctx context.Context, t *testing.T, b stream.Broker, after uint64, want []stream.Event) {
	t.Helper()
	sub := subscribe(ctx, t, b, after)
	defer sub.Close()
	if len(want) > 0 {
		got, err := take(ctx, sub, want[len(want)-1].Seq)
		if err != nil {
			t.Fatalf("reading after %d: %v", after, err)
		}
		if d := differ(got, want); d != "" {
			t.Fatalf("reading after %d: %s", after, d)
		}
	}
	if head := sub.Head(); head.Closed {
		expectEnd(ctx, t, sub)
	} else {
		expectNothing(t, sub)
	}
}

// expectNothing fails if there is something to read.
func expectNothing(t *testing.T, sub *stream.Subscription) {
	t.Helper()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := sub.Next(over); !errors.Is(err, context.Canceled) {
		t.Fatalf("Next where nothing is, with a ctx that has ended: got %d events, error %v, want %v", len(got), err, context.Canceled)
	}
	head := sub.Head()
	if head.Closed {
		t.Fatalf("the stream is closed: %+v", head)
	}
}

func expectEnd(ctx context.Context, t *testing.T, sub *stream.Subscription) {
	t.Helper()
	for range 2 {
		if got, err := sub.Next(ctx); !errors.Is(err, io.EOF) {
			t.Fatalf("Next at the end: got %d events, error %v, want %v", len(got), err, io.EOF)
		}
	}
}

func expectGap(ctx context.Context, t *testing.T, sub *stream.Subscription, want stream.GapError) {
	t.Helper()
	got, err := sub.Next(ctx)
	var gap *stream.GapError
	if !errors.As(err, &gap) {
		t.Fatalf("Next: got %d events, error %v, want a gap %+v", len(got), err, want)
	}
	if *gap != want {
		t.Fatalf("Next: got gap %+v, want %+v", *gap, want)
	}
}
