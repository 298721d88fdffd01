package sqlite_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

// TestAFileThatMayNotGrowLosesNothing has SQLite itself say that the disk is
// full.
func TestAFileThatMayNotGrowLosesNothing(t *testing.T) {
	s := open(t, file(t), nil)
	limit := func(pages int) {
		if _, err := s.Writer().ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(300)
	fillUp(t, s, func() { limit(1 << 20) })
}

// fillUp publishes until there is no space, checks that nothing is lost or
// half there, makes space and goes on.
func fillUp(t *testing.T, s *sqlite.Store, makeSpace func()) {
	t.Helper()
	const size = 100
	next := func(from uint64) []stream.Event {
		events := make([]stream.Event, size)
		for i := range events {
			events[i] = numbered("s", from+uint64(i))
		}
		return events
	}
	last := uint64(0)
	var err error
	for err == nil {
		if last > 1_000_000 {
			t.Fatal("the disk does not get full")
		}
		if err = s.Broker().Publish(t.Context(), "s", next(last+1)); err == nil {
			last += size
		}
	}
	if last == 0 || errors.Is(err, stream.ErrClosed) || errors.Is(err, stream.ErrGap) || errors.Is(err, stream.ErrInvalid) {
		t.Fatalf("after %d events: %v", last, err)
	}
	t.Logf("full after %d events: %v", last, err)
	if got := head(t, s, "s").Seq; got != last {
		t.Fatalf("the stream ends at %d, %d was acknowledged", got, last)
	}
	expectDense(t, s, "s", last)
	for range 3 { // it goes on refusing, and the numbers stay
		if err := s.Broker().Publish(t.Context(), "s", next(last+1)); err == nil {
			last += size // a smaller rest may have fitted
		}
	}
	makeSpace()
	for range 20 {
		if err := s.Broker().Publish(t.Context(), "s", next(last+1)); err != nil {
			t.Fatalf("with space again: %v", err)
		}
		last += size
	}
	expectDense(t, s, "s", last)
	if got := head(t, s, "s").Seq; got != last {
		t.Fatalf("the stream ends at %d, %d was acknowledged", got, last)
	}
}
