package streamtest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/orchard9/rdev/stream"
)

// losing is about events that are gone: a reader is told which, never left to
// find out.
var losing = []sentence{
	{"ReaderAheadOfTheHeadIsToldTruncation", readerAheadOfTheHeadIsToldTruncation, nil},
	{"ReaderAheadOfAnEmptyStreamIsToldTruncation", readerAheadOfAnEmptyStreamIsToldTruncation, nil},
	{"RetentionIsToldAsAGap", retentionIsToldAsAGap, aTrim},
	{"RetentionIsToldToAReaderThatIsThere", retentionIsToldToAReaderThatIsThere, aTrim},
	{"RetentionOfEverythingIsToldAndTheStreamGoesOn", retentionOfEverythingIsTold, aTrim},
	{"RetentionForgetsNoNumber", retentionForgetsNoNumber, aTrim},
}

func readerAheadOfTheHeadIsToldTruncation(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 5)...)
	for _, after := range []uint64{6, 100, math.MaxInt64, math.MaxUint64} {
		sub := subscribe(ctx, t, s.Broker, after)
		expectGap(ctx, t, sub, stream.GapError{From: 6, To: after, Reason: stream.GapTruncated})
		expectNothing(t, sub)
		sub.Close()
	}
	// It goes on with the numbers that are given out anew.
	sub := subscribe(ctx, t, s.Broker, 8)
	publish(ctx, t, s.Broker, events(6, 10)...)
	expectGap(ctx, t, sub, stream.GapError{From: 6, To: 8, Reason: stream.GapTruncated})
	got, err := take(ctx, sub, 10)
	if d := differ(got, events(6, 10)); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
}

func readerAheadOfAnEmptyStreamIsToldTruncation(ctx context.Context, t *testing.T, s Subject) {
	sub := subscribe(ctx, t, s.Broker, 3)
	expectGap(ctx, t, sub, stream.GapError{From: 1, To: 3, Reason: stream.GapTruncated})
	publish(ctx, t, s.Broker, event(1))
	got, err := take(ctx, sub, 1)
	if d := differ(got, events(1, 1)); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
}

func retentionIsToldAsAGap(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 20)...)
	s.Trim(t, id, 12)
	for after := range uint64(12) {
		sub := subscribe(ctx, t, s.Broker, after)
		expectGap(ctx, t, sub, stream.GapError{From: after + 1, To: 12, Reason: stream.GapRetention})
		got, err := take(ctx, sub, 20)
		if d := differ(got, events(13, 20)); err != nil || d != "" {
			t.Fatalf("reading on after %d: %v %s", after, err, d)
		}
		if head, want := sub.Head(), (stream.Head{First: 13, Seq: 20}); head != want {
			t.Fatalf("the head is %s, want %s", show(head), show(want))
		}
		sub.Close()
	}
	for after := uint64(12); after <= 20; after++ {
		expect(ctx, t, s.Broker, after, events(after+1, 20))
	}
}

// retentionIsToldToAReaderThatIsThere allows that such a reader still gets
// events that were just dropped, but never a hole that it is not told.
func retentionIsToldToAReaderThatIsThere(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 10)...)
	sub := subscribe(ctx, t, s.Broker, 0)
	s.Trim(t, id, 6)
	publish(ctx, t, s.Broker, events(11, 20)...)
	for at := uint64(0); at < 20; {
		got, err := sub.Next(ctx)
		var gap *stream.GapError
		switch {
		case errors.As(err, &gap):
			if gap.From != at+1 || gap.To > 6 || gap.To <= at || gap.Reason != stream.GapRetention {
				t.Fatalf("after %d: gap %+v", at, *gap)
			}
			at = gap.To
		case err != nil:
			t.Fatal(err)
		default:
			if d := differ(got, events(at+1, at+uint64(len(got)))); d != "" {
				t.Fatalf("after %d: %s", at, d)
			}
			at += uint64(len(got))
		}
	}
}

func retentionOfEverythingIsTold(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 20)...)
	s.Trim(t, id, 20)
	sub := subscribe(ctx, t, s.Broker, 4)
	if head, want := sub.Head(), (stream.Head{First: 21, Seq: 20}); head != want {
		t.Fatalf("the head is %s, want %s", show(head), show(want))
	}
	expectGap(ctx, t, sub, stream.GapError{From: 5, To: 20, Reason: stream.GapRetention})
	expectNothing(t, sub)
	publish(ctx, t, s.Broker, event(21), terminal(22))
	got, err := drain(ctx, sub)
	if d := differ(got, []stream.Event{event(21), terminal(22)}); err != nil || d != "" {
		t.Fatalf("reading: %v %s", err, d)
	}
}

func retentionForgetsNoNumber(ctx context.Context, t *testing.T, s Subject) {
	publish(ctx, t, s.Broker, events(1, 20)...)
	s.Trim(t, id, 20)
	publish(ctx, t, s.Broker, events(1, 20)...)
	refuse(ctx, t, s.Broker, stream.ErrGap, event(22))
	publish(ctx, t, s.Broker, events(18, 25)...)
	expect(ctx, t, s.Broker, 20, events(21, 25))
}
