package streamtest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/orchard9/rdev/stream"
)

var publishing = []sentence{
	{"PublishesDenseNumbers", publishesDenseNumbers, nil},
	{"AnEmptyBatchIsANoOp", anEmptyBatchIsANoOp, nil},
	{"RepeatedPublishIsANoOp", repeatedPublishIsANoOp, nil},
	{"PublishPastAHoleIsErrGap", publishPastAHoleIsErrGap, nil},
	{"PublishAfterTheTerminalEventIsErrClosed", publishAfterTheTerminalEventIsErrClosed, nil},
	{"ABatchThatNoStreamCanHoldIsErrInvalid", aBatchThatNoStreamCanHoldIsErrInvalid, nil},
	{"PublishWithAnEndedCtxAppendsNothing", publishWithAnEndedCtxAppendsNothing, nil},
	{"BytesAreKeptExactly", bytesAreKeptExactly, nil},
	{"WhatWasPublishedIsTheCallersAgain", whatWasPublishedIsTheCallersAgain, nil},
	{"StreamsAreSeparate", streamsAreSeparate, nil},
	{"TwoPublishersOfOneCommandAgree", twoPublishersOfOneCommandAgree, nil},
}

func publishesDenseNumbers(ctx context.Context, t *testing.T, s Subject) {
	for first, n := uint64(1), uint64(1); first <= 300; first, n = first+n, n*3%17+1 {
		publish(ctx, t, s.Broker, events(first, first+n-1)...)
		expect(ctx, t, s.Broker, 0, events(1, first+n-1))
	}
}

func anEmptyBatchIsANoOp(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker)
	expect(ctx, t, s.Broker, 0, nil)
	publish(ctx, t, s.Broker, event(1))
	publish(ctx, t, s.Broker)
	expect(ctx, t, s.Broker, 0, events(1, 1))
}

func repeatedPublishIsANoOp(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 10)...)
	publish(ctx, t, s.Broker, events(1, 10)...)  // whole
	publish(ctx, t, s.Broker, events(3, 5)...)   // a part
	publish(ctx, t, s.Broker, events(10, 10)...) // the last
	publish(ctx, t, s.Broker, events(7, 14)...)  // and something new

	// What is there is not compared, and not replaced.
	other := event(4)
	other.Data = []byte(`{"line":"another"}`)
	publish(ctx, t, s.Broker, other)
	expect(ctx, t, s.Broker, 0, events(1, 14))
}

func whatWasPublishedIsTheCallersAgain(ctx context.Context, t *testing.T, s Subject) {
	sub := subscribe(ctx, t, s.Broker, 0)
	defer sub.Close()
	batch := make([]stream.Event, 0, 10)
	var data []byte
	for first := uint64(1); first < 100; first += 10 {
		batch, data = append(batch[:0], events(first, first+9)...), slices.Grow(data[:0], 4096)
		for i := range batch {
			begin := len(data)
			data = append(data, batch[i].Data...)
			batch[i].Data = data[begin:]
		}
		publish(ctx, t, s.Broker, batch...)
		clear(batch)
		clear(data)
	}
	expect(ctx, t, s.Broker, 0, events(1, 100))
	for next := uint64(1); next <= 100; {
		got, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if want := event(next); e.Seq != want.Seq || string(e.Data) != string(want.Data) {
				t.Fatalf("got event %d with %q, want %d with %q", e.Seq, e.Data, want.Seq, want.Data)
			}
			next++
		}
	}
}

func publishPastAHoleIsErrGap(ctx context.Context, t *testing.T, s Subject) {
	refuse(ctx, t, s.Broker, stream.ErrGap, event(2))
	expect(ctx, t, s.Broker, 0, nil)
	publish(ctx, t, s.Broker, events(1, 5)...)
	refuse(ctx, t, s.Broker, stream.ErrGap, events(7, 9)...)
	expect(ctx, t, s.Broker, 0, events(1, 5))
	publish(ctx, t, s.Broker, events(6, 9)...)
	expect(ctx, t, s.Broker, 0, events(1, 9))
}

func publishAfterTheTerminalEventIsErrClosed(ctx context.Context, t *testing.T, s Subject) {
	for _, kind := range []stream.Kind{stream.Complete, stream.Failed} {
		t.Run(string(kind), func(t *testing.T) {
			name := id + string(kind)
			last := stream.Event{Seq: 3, Kind: kind, Data: []byte(`{"code":"LOST"}`)}
			all := append(events(1, 2), last)
			if err := s.Broker.Publish(ctx, name, all); err != nil {
				t.Fatal(err)
			}
			for _, more := range [][]stream.Event{{event(4)}, {event(9)}, {terminal(4)}, {event(3), event(4)}} {
				if err := s.Broker.Publish(ctx, name, more); !isClosed(err) {
					t.Fatalf("Publish of %d to %d: got error %v, want %v", more[0].Seq, more[len(more)-1].Seq, err, stream.ErrClosed)
				}
			}
			if err := s.Broker.Publish(ctx, name, all); err != nil {
				t.Fatalf("repeating what ended the stream: %v", err)
			}
			sub, err := s.Broker.Subscribe(ctx, name, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			got, err := drain(ctx, sub)
			if d := differ(got, all); err != nil || d != "" {
				t.Fatalf("reading: %v %s", err, d)
			}
		})
	}
}

func aBatchThatNoStreamCanHoldIsErrInvalid(ctx context.Context, t *testing.T, s Subject) {
	big := event(2)
	big.Data = bytes.Repeat([]byte("x"), stream.MaxData+1)
	kindless := event(2)
	kindless.Kind = ""
	for name, batch := range map[string][]stream.Event{
		"SeqZero":            {event(0)},
		"SeqZeroFirst":       {event(0), event(1)},
		"AHoleInside":        {event(1), event(3)},
		"TheSameSeqTwice":    {event(1), event(1)},
		"Backwards":          {event(2), event(1)},
		"AfterATerminal":     {event(1), terminal(2), event(3)},
		"TwoTerminals":       {terminal(1), terminal(2)},
		"DataOverMaxData":    {event(1), big},
		"NoKind":             {event(1), kindless},
		"AnOldOneWithAHole":  {event(1), event(3), event(4)},
		"SeqWrapsAroundZero": {event(1<<64 - 1), event(0)},
	} {
		t.Run(name, func(t *testing.T) {
			refuse(ctx, t, s.Broker, stream.ErrInvalid, batch...)
			expect(ctx, t, s.Broker, 0, nil)
		})
	}
}

func publishWithAnEndedCtxAppendsNothing(ctx context.Context, t *testing.T, s Subject) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Broker.Publish(over, id, events(1, 3)); err == nil {
		t.Fatal("Publish with a ctx that has ended returned nil")
	}
	expect(ctx, t, s.Broker, 0, nil)
	publish(ctx, t, s.Broker, events(1, 3)...)
}

func bytesAreKeptExactly(ctx context.Context, t *testing.T, s Subject) {
	large := append([]byte(`{"line":"`), bytes.Repeat([]byte("y"), stream.MaxData-11)...)
	all := []stream.Event{
		{Seq: 1, Kind: stream.Output, Data: []byte("{ \"b\" : 1.0,\t\"a\":\"\\u0000\\ud800\",\"a\":2e0 }")},
		{Seq: 2, Kind: stream.Output, Data: []byte("{\"line\":\"\u2028 \U0001f642 \\u007f\"}")},
		{Seq: 3, Kind: stream.Output, Data: []byte(`{}`)},
		{Seq: 4, Kind: stream.Output, Data: append(large, `"}`...)},
		{Seq: 5, Kind: stream.Failed, Data: []byte(`{"code":"x"}`)},
	}
	publish(ctx, t, s.Broker, all...)
	expect(ctx, t, s.Broker, 0, all)
}

func streamsAreSeparate(ctx context.Context, t *testing.T, s Subject) {
	names := []string{"a", "a:1", "A", "a%", "a_", "b"} // alike to a pattern, a prefix or a collation
	for i, name := range names {
		if err := s.Broker.Publish(ctx, name, events(1, uint64(10+i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Broker.Close(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		sub, err := s.Broker.Subscribe(ctx, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		if want := uint64(10 + i); sub.Head().Seq != want || sub.Head().Closed != (name == "a") {
			t.Fatalf("the head of %q is %+v, want seq %d", name, sub.Head(), want)
		}
	}
}

// twoPublishersOfOneCommandAgree is a takeover that comes too early: both
// owners follow the same command and publish the same events, cut differently.
func twoPublishersOfOneCommandAgree(ctx context.Context, t *testing.T, s Subject) {
	const last = 500
	sub := subscribe(ctx, t, s.Broker, 0)
	var owners sync.WaitGroup
	for owner := range uint64(3) {
		owners.Go(func() {
			cut := rand.New(rand.NewPCG(owner, 1))
			for first := uint64(1); first <= last; {
				end := min(first+cut.Uint64N(20), last)
				all := events(first, end)
				if end == last {
					all[len(all)-1] = terminal(last)
				}
				if err := s.Broker.Publish(ctx, id, all); err != nil {
					t.Errorf("owner %d: publishing %d to %d: %v", owner, first, end, err)
					return
				}
				first = end + 1
			}
		})
	}
	owners.Wait()
	got, err := drain(ctx, sub)
	if d := differ(got, append(events(1, last-1), terminal(last))); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
}
