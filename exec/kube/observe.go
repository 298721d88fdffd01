package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/exec"
)

// An Observer is told what an Executor does, for metrics. Its methods are
// called from many goroutines and must not block.
type Observer interface {
	// ShimPlaced is told of each attempt to bring the shim into a container:
	// how long it took, and "placed" (or found to be there), "unplaceable"
	// (commands run in direct mode there) or "failed".
	ShimPlaced(how string, took time.Duration)
	// ShimReached is told of each exec stream to a shim that stands; again says
	// that it replaces one to the same container.
	ShimReached(again bool)
}

type noObserver struct{}

func (noObserver) ShimPlaced(string, time.Duration) {}
func (noObserver) ShimReached(bool)                 {}

// placeWait is how long it may take to bring the shim into a container.
const placeWait = 2 * time.Minute

// placeShim is put, observed and limited in time.
func (x *Executor) placeShim(ctx context.Context, p place, origin string) (placement, error) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	at, err := x.put(limited, p, origin)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the shim could not be placed within %v: %w", placeWait, err)
	}
	how := "placed"
	var unplaceable *errUnplaceable
	switch {
	case errors.As(err, &unplaceable):
		how = "unplaceable"
	case err != nil:
		how = "failed"
	}
	x.options.Observer.ShimPlaced(how, time.Since(began))
	return at, err
}

// A span is a trace.Span, or nothing where nobody traces. It holds no error's
// text: that is the caller's of Execute to tell.
type span struct{ trace.Span }

func (x *Executor) span(ctx context.Context, name string) (context.Context, span) {
	if x.tracer == nil {
		return ctx, span{}
	}
	ctx, started := x.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, span{started}
}

// in says which container the span is about.
func (s span) in(p place) {
	if s.Span != nil {
		s.SetAttributes(
			attribute.String("k8s.namespace.name", p.namespace),
			attribute.String("k8s.pod.name", p.pod),
			attribute.String("k8s.container.name", p.container),
		)
	}
}

func (s span) end(err error) {
	if s.Span == nil {
		return
	}
	if err != nil && !errors.Is(err, exec.ErrDetached) {
		s.SetStatus(codes.Error, "")
	}
	s.End()
}
