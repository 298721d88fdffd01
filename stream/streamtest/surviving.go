package streamtest

import (
	"context"
	"testing"

	"github.com/orchard9/rdev/stream"
)

// surviving is about a broker that is gone and comes back.
var surviving = []sentence{
	{"EventsSurviveReopen", eventsSurviveReopen, aReopen},
	{"EndsSurviveReopen", endsSurviveReopen, aReopen},
	{"GapsSurviveReopen", gapsSurviveReopen, both},
}

func reopen(t *testing.T, s *Subject) {
	t.Helper()
	s.Broker = s.Reopen(t)
}

func eventsSurviveReopen(ctx context.Context, t *testing.T, s Subject) {
	for last := uint64(0); last < 300; last += 60 {
		publish(ctx, t, s.Broker, events(last+1, last+60)...)
		reopen(t, &s)
		expect(ctx, t, s.Broker, 0, events(1, last+60))
		publish(ctx, t, s.Broker, events(1, last+60)...)
		refuse(ctx, t, s.Broker, stream.ErrGap, event(last+62))
	}
}

func endsSurviveReopen(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, append(events(1, 5), terminal(6))...)
	if err := s.Broker.Publish(ctx, "closed", events(1, 5)); err != nil {
		t.Fatal(err)
	}
	if err := s.Broker.Close(ctx, "closed"); err != nil {
		t.Fatal(err)
	}
	if err := s.Broker.Close(ctx, "empty"); err != nil {
		t.Fatal(err)
	}
	reopen(t, &s)
	for name, want := range map[string]stream.Head{
		id:       {First: 1, Seq: 6, Closed: true, Terminal: true},
		"closed": {First: 1, Seq: 5, Closed: true},
		"empty":  {First: 1, Closed: true},
	} {
		sub, err := s.Broker.Subscribe(ctx, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		if head := sub.Head(); head != want {
			t.Errorf("the head of %q is %s, want %s", name, show(head), show(want))
		}
		if got, err := drain(ctx, sub); err != nil || uint64(len(got)) != want.Seq {
			t.Errorf("reading %q: %d events, error %v", name, len(got), err)
		}
		if err := s.Broker.Publish(ctx, name, []stream.Event{event(want.Seq + 1)}); !isClosed(err) {
			t.Errorf("Publish to %q: %v, want %v", name, err, stream.ErrClosed)
		}
	}
}

func gapsSurviveReopen(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 20)...)
	s.Trim(t, id, 20)
	reopen(t, &s)
	expectGap(ctx, t, subscribe(ctx, t, s.Broker, 7), stream.GapError{From: 8, To: 20, Reason: stream.GapRetention})
	publish(ctx, t, s.Broker, events(15, 25)...)
	expect(ctx, t, s.Broker, 20, events(21, 25))
}
