package streamtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/orchard9/rdev/stream"
)

var reading = []sentence{
	{"ReaderFromTheMiddleGetsExactlyTheRest", readerFromTheMiddleGetsExactlyTheRest, nil},
	{"SubscribeThenPublishHasNoSeam", subscribeThenPublishHasNoSeam, nil},
	{"AWaitingReaderIsWoken", aWaitingReaderIsWoken, nil},
	{"ManyReadersSeeTheSameBytes", manyReadersSeeTheSameBytes, nil},
	{"SlowReaderSlowsNobody", slowReaderSlowsNobody, nil},
	{"TheSliceIsTheCallers", theSliceIsTheCallers, nil},
	{"CtxEndLeavesTheCursor", ctxEndLeavesTheCursor, nil},
	{"CtxOfSubscribeBoundsTheCallAlone", ctxOfSubscribeBoundsTheCallAlone, nil},
	{"SubscribeWithAnEndedCtxFails", subscribeWithAnEndedCtxFails, nil},
	{"HeadFollowsTheStream", headFollowsTheStream, nil},
}

func readerFromTheMiddleGetsExactlyTheRest(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 30)...)
	for after := range uint64(31) {
		expect(ctx, t, s.Broker, after, events(after+1, 30))
	}
	publish(ctx, t, s.Broker, terminal(31))
	for after := range uint64(32) {
		expect(ctx, t, s.Broker, after, append(events(after+1, 30), terminal(31))[:31-after])
	}
}

// subscribeThenPublishHasNoSeam joins while events arrive: what was stored
// before and what comes after must meet exactly.
func subscribeThenPublishHasNoSeam(ctx context.Context, t *testing.T, s Subject) {
	const last = 1000
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		for seq := uint64(1); seq <= last; seq += 4 {
			if err := s.Broker.Publish(ctx, id, events(seq, seq+3)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	front := subscribe(ctx, t, s.Broker, 0)
	for {
		got, err := front.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seq := got[len(got)-1].Seq
		if seq == last {
			return
		}
		joined := subscribe(ctx, t, s.Broker, seq/2)
		rest, err := take(ctx, joined, min(seq+8, last))
		joined.Close()
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(rest, events(seq/2+1, rest[len(rest)-1].Seq)); d != "" {
			t.Fatalf("joining after %d of %d: %s", seq/2, seq, d)
		}
	}
}

func aWaitingReaderIsWoken(ctx context.Context, t *testing.T, s Subject) {
	sub := subscribe(ctx, t, s.Broker, 0)
	got := make(chan uint64)
	go func() {
		defer close(got)
		for {
			all, err := sub.Next(ctx)
			if err != nil {
				return
			}
			got <- all[len(all)-1].Seq
		}
	}()
	for seq := uint64(1); seq <= 100; seq++ {
		publish(ctx, t, s.Broker, event(seq))
		if read, ok := <-got; !ok || read != seq {
			t.Fatalf("the reader returned %d (%t), want %d", read, ok, seq)
		}
	}
	sub.Close()
	<-got
}

func manyReadersSeeTheSameBytes(ctx context.Context, t *testing.T, s Subject) {
	const readers, last = 50, 500
	want := append(events(1, last-1), terminal(last))
	var wait sync.WaitGroup
	defer wait.Wait()
	for reader := range uint64(readers) {
		sub := subscribe(ctx, t, s.Broker, 0)
		wait.Go(func() {
			got, err := drain(ctx, sub)
			if d := differ(got, want); err != nil || d != "" {
				t.Errorf("reader %d: %v %s", reader, err, d)
			}
		})
	}
	for first := 0; first < last; first += 20 {
		publish(ctx, t, s.Broker, want[first:first+20]...)
	}
}

// slowReaderSlowsNobody leaves readers lying that never read. If a publisher or
// another reader waited for them, the test would not end.
func slowReaderSlowsNobody(ctx context.Context, t *testing.T, s Subject) {
	const last, size = 4000, 100
	var stalled []*stream.Subscription
	for range 5 {
		stalled = append(stalled, subscribe(ctx, t, s.Broker, 0))
	}
	begun := subscribe(ctx, t, s.Broker, 0) // stalls in the middle
	fast := subscribe(ctx, t, s.Broker, 0)

	var front uint64
	for first := uint64(1); first <= last; first += size {
		publish(ctx, t, s.Broker, events(first, first+size-1)...)
		got, err := take(ctx, fast, first+size-1)
		if d := differ(got, events(first, first+size-1)); err != nil || d != "" {
			t.Fatalf("the fast reader: %v %s", err, d)
		}
		if first == 1 {
			got, err := begun.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			front = got[len(got)-1].Seq
		}
	}
	publish(ctx, t, s.Broker, terminal(last+1))
	all := append(events(1, last), terminal(last+1))
	for i, sub := range append(stalled, begun) {
		want := all
		if sub == begun {
			want = all[front:]
		}
		got, err := drain(ctx, sub)
		if d := differ(got, want); err != nil || d != "" {
			t.Fatalf("stalled reader %d: %v %s", i, err, d)
		}
	}
}

func theSliceIsTheCallers(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 20)...)
	sub := subscribe(ctx, t, s.Broker, 0)
	got, err := take(ctx, sub, 20)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	_ = append(got[:0], events(100, 120)...)
	expect(ctx, t, s.Broker, 0, events(1, 20))
}

func ctxEndLeavesTheCursor(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 5)...)
	sub := subscribe(ctx, t, s.Broker, 0)
	if _, err := take(ctx, sub, 5); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(6); seq <= 20; seq++ {
		one, cancel := context.WithCancel(ctx)
		woken := make(chan error)
		go func() {
			_, err := sub.Next(one)
			woken <- err
		}()
		cancel()
		if err := <-woken; !errors.Is(err, context.Canceled) {
			t.Fatalf("Next with a ctx that ends: %v, want %v", err, context.Canceled)
		}
		publish(ctx, t, s.Broker, event(seq))
		got, err := sub.Next(ctx)
		if d := differ(got, events(seq, seq)); err != nil || d != "" {
			t.Fatalf("Next after it: %v %s", err, d)
		}
	}
}

func ctxOfSubscribeBoundsTheCallAlone(ctx context.Context, t *testing.T, s Subject) {
	call, cancel := context.WithCancel(ctx)
	sub, err := s.Broker.Subscribe(call, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	cancel()
	publish(ctx, t, s.Broker, events(1, 3)...)
	got, err := take(ctx, sub, 3)
	if d := differ(got, events(1, 3)); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
}

func subscribeWithAnEndedCtxFails(ctx context.Context, t *testing.T, s Subject) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	if sub, err := s.Broker.Subscribe(over, id, 0); err == nil {
		sub.Close()
		t.Fatal("Subscribe with a ctx that has ended returned a Subscription")
	}
}

func headFollowsTheStream(ctx context.Context, t *testing.T, s Subject) {
	sub := subscribe(ctx, t, s.Broker, 0)
	check := func(want stream.Head) {
		t.Helper()
		// The one that was there before, and one that asks anew.
		for name, reader := range map[string]*stream.Subscription{"first": sub, "second": subscribe(ctx, t, s.Broker, want.Seq)} {
			if got := reader.Head(); got != want {
				t.Fatalf("the head of the %s reader is %s, want %s", name, show(got), show(want))
			}
		}
	}
	check(stream.Head{First: 1})
	publish(ctx, t, s.Broker, events(1, 7)...)
	check(stream.Head{First: 1, Seq: 7})
	publish(ctx, t, s.Broker, terminal(8))
	check(stream.Head{First: 1, Seq: 8, Closed: true, Terminal: true})
}

func show(h stream.Head) string { return fmt.Sprintf("%+v", h) }
