package rdev

import (
	"context"
	"testing"

	"github.com/orchard9/rdev/exec"
)

// TestNoTraceCostsNothing: where nobody traces, a line on its way allocates no
// byte more, nor does anything around it.
func TestNoTraceCostsNothing(t *testing.T) {
	s := &Service{patience: context.Background()}
	w := &worker{s: s, ctx: context.Background()}
	taken := func(context.Context) error { return nil }
	plain := testing.AllocsPerRun(100, func() { _ = w.attempts(s.patience, "publish", taken) })
	traced := testing.AllocsPerRun(100, func() {
		_, run := s.span(context.Background(), "rdev.run")
		run.about(&w.cmd)
		run.end(nil)
		w.traced()(nil)
		w.queued()
		_, e := w.execution()
		e.line(1)
		e.end(exec.Result{}, nil)
		_ = w.retry("publish", taken)
	})
	if traced != plain {
		t.Errorf("%v allocations with the places of spans, %v without", traced, plain)
	}
}
