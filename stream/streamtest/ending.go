package streamtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/orchard9/rdev/stream"
)

var ending = []sentence{
	{"TheTerminalEventEndsReaders", theTerminalEventEndsReaders, nil},
	{"CloseEndsReaders", closeEndsReaders, nil},
	{"PublishAfterCloseIsErrClosed", publishAfterCloseIsErrClosed, nil},
	{"ClosingTwiceIsNil", closingTwiceIsNil, nil},
	{"CloseOfAnEmptyStreamEndsIt", closeOfAnEmptyStreamEndsIt, nil},
	{"ClosingASubscriptionWakesItsNext", closingASubscriptionWakesItsNext, nil},
}

func isClosed(err error) bool { return errors.Is(err, stream.ErrClosed) }

// waiting starts a Next at the end of the stream and returns its outcome. It
// may or may not have blocked by the time that the caller goes on; both must
// end alike.
func waiting(ctx context.Context, sub *stream.Subscription) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := sub.Next(ctx)
		ended <- err
	}()
	return ended
}

func theTerminalEventEndsReaders(ctx context.Context, t *testing.T, s Subject) {
	live := subscribe(ctx, t, s.Broker, 0)
	publish(ctx, t, s.Broker, events(1, 9)...)
	publish(ctx, t, s.Broker, terminal(10))
	for _, sub := range []*stream.Subscription{live, subscribe(ctx, t, s.Broker, 0)} {
		got, err := drain(ctx, sub)
		if d := differ(got, append(events(1, 9), terminal(10))); err != nil || d != "" {
			t.Fatalf("reading: %v %s", err, d)
		}
		expectEnd(ctx, t, sub)
	}
	expectEnd(ctx, t, subscribe(ctx, t, s.Broker, 10))
}

func closeEndsReaders(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 9)...)
	behind := subscribe(ctx, t, s.Broker, 0)
	atEnd := subscribe(ctx, t, s.Broker, 9)
	ended := waiting(ctx, atEnd)
	if err := s.Broker.Close(ctx, id); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Fatalf("Next of the reader at the end: %v, want %v", err, io.EOF)
	}
	// The log stays readable, for those who are there and those who come.
	for _, sub := range []*stream.Subscription{behind, subscribe(ctx, t, s.Broker, 0)} {
		got, err := drain(ctx, sub)
		if d := differ(got, events(1, 9)); err != nil || d != "" {
			t.Fatalf("reading: %v %s", err, d)
		}
		if head, want := sub.Head(), (stream.Head{First: 1, Seq: 9, Closed: true}); head != want {
			t.Fatalf("the head is %s, want %s", show(head), show(want))
		}
	}
}

func publishAfterCloseIsErrClosed(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 9)...)
	if err := s.Broker.Close(ctx, id); err != nil {
		t.Fatalf("Close: %v", err)
	}
	refuse(ctx, t, s.Broker, stream.ErrClosed, event(10))
	refuse(ctx, t, s.Broker, stream.ErrClosed, terminal(10))
	refuse(ctx, t, s.Broker, stream.ErrClosed, events(5, 10)...)
	publish(ctx, t, s.Broker, events(1, 9)...)
	expect(ctx, t, s.Broker, 0, events(1, 9))
}

func closingTwiceIsNil(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, append(events(1, 3), terminal(4))...)
	for range 3 {
		if err := s.Broker.Close(ctx, id); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	sub := subscribe(ctx, t, s.Broker, 0)
	got, err := drain(ctx, sub)
	if d := differ(got, append(events(1, 3), terminal(4))); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
	if head := sub.Head(); !head.Terminal {
		t.Fatalf("the head is %s, want it terminal", show(head))
	}
}

func closeOfAnEmptyStreamEndsIt(ctx context.Context, t *testing.T, s Subject) {
	ended := waiting(ctx, subscribe(ctx, t, s.Broker, 0))
	if err := s.Broker.Close(ctx, id); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Fatalf("Next: %v, want %v", err, io.EOF)
	}
	refuse(ctx, t, s.Broker, stream.ErrClosed, event(1))
	expectEnd(ctx, t, subscribe(ctx, t, s.Broker, 0))
}

func closingASubscriptionWakesItsNext(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 3)...)
	other := subscribe(ctx, t, s.Broker, 3)
	for range 20 {
		sub := subscribe(ctx, t, s.Broker, 3)
		ended := waiting(ctx, sub)
		sub.Close()
		if err := <-ended; !isClosed(err) {
			t.Fatalf("the Next that waited: %v, want %v", err, stream.ErrClosed)
		}
		sub.Close()
		if _, err := sub.Next(ctx); !isClosed(err) {
			t.Fatalf("Next after Close: %v, want %v", err, stream.ErrClosed)
		}
		_ = sub.Head()
	}
	publish(ctx, t, s.Broker, event(4)) // and the others never noticed
	got, err := other.Next(ctx)
	if d := differ(got, events(4, 4)); err != nil || d != "" {
		t.Fatalf("another reader: %v %s", err, d)
	}
}
