package kube

import (
	"context"
	"testing"
)

// TestNoTraceCostsNothing: without a TracerProvider nothing is allocated where
// spans would be.
func TestNoTraceCostsNothing(t *testing.T) {
	x := &Executor{}
	if n := testing.AllocsPerRun(100, func() {
		_, s := x.span(context.Background(), "kube.stream")
		s.in(place{})
		s.end(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
