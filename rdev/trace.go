package rdev

import (
	"context"
	"errors"
	"maps"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/exec"
)

// A Trace is a place in a distributed trace, as W3C Trace Context writes it.
// The zero value is none.
type Trace struct {
	Parent string `json:"parent,omitempty"` // traceparent
	State  string `json:"state,omitempty"`  // tracestate
}

// The variables in which a command finds its Trace. A request may set its own.
const (
	traceParentEnv = "TRACEPARENT"
	traceStateEnv  = "TRACESTATE"
)

// ID returns the id of the trace, 32 hexadecimal digits, or "" if there is none.
func (t Trace) ID() string {
	if sc := trace.SpanContextFromContext(t.Context(context.Background())); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}

// Context returns ctx with t as the parent of the spans that are started in it.
func (t Trace) Context(ctx context.Context) context.Context {
	if t.Parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": t.Parent, "tracestate": t.State})
}

func traceOf(ctx context.Context) Trace {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return Trace{Parent: carrier["traceparent"], State: carrier["tracestate"]}
}

// stamp makes the span in ctx the one under which the command runs, whichever
// Service runs it: it stands in the record and in the command's environment.
func (t Trace) stamp(cmd *Command) {
	if t.Parent == "" {
		return
	}
	cmd.Trace = t
	env := maps.Clone(cmd.Spec.Env)
	if env == nil {
		env = make(map[string]string, 2)
	}
	if _, own := env[traceParentEnv]; !own {
		env[traceParentEnv] = t.Parent
		if t.State != "" {
			env[traceStateEnv] = t.State
		}
	}
	cmd.Spec.Env = env
}

// A span is a trace.Span, or nothing at all where nobody traces: then its
// methods do nothing and allocate nothing. No error's text is in it, only codes.
type span struct{ trace.Span }

// span starts a span below that in ctx.
func (s *Service) span(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, span) {
	if s.tracer == nil {
		return ctx, span{}
	}
	ctx, started := s.tracer.Start(ctx, name, opts...)
	return ctx, span{started}
}

// end ends the span, as failed if err is an error.
func (s span) end(err error) {
	if s.Span == nil {
		return
	}
	if err != nil && !errors.Is(err, exec.ErrDetached) {
		s.SetStatus(otelcodes.Error, string(CodeOf(err)))
	}
	s.End()
}

// about says which command the span is about.
func (s span) about(cmd *Command) {
	if s.Span == nil {
		return
	}
	s.SetAttributes(
		attribute.String("rdev.project", cmd.Project),
		attribute.String("rdev.command.id", cmd.ID),
		attribute.String("rdev.command.type", string(cmd.Type)),
		attribute.String("rdev.key.id", cmd.KeyID),
	)
}

// traced gives the worker the span of its work, below that of the request
// that the command came with, and returns what ends it.
func (w *worker) traced() func(error) {
	if w.s.tracer == nil {
		return func(error) {}
	}
	var life span
	w.ctx, life = w.s.span(w.cmd.Trace.Context(w.ctx), "rdev.command")
	life.about(&w.cmd)
	life.SetAttributes(attribute.String("rdev.replica", w.s.cfg.Replica), attribute.Bool("rdev.command.resumed", !w.fresh))
	return func(err error) {
		life.SetAttributes(attribute.String("rdev.command.state", string(w.cmd.State)))
		if w.cmd.State == StateLost || w.cmd.Code == CodeInternal {
			life.SetStatus(otelcodes.Error, string(w.cmd.Code))
		}
		life.end(err)
	}
}

// queued records, once, how long the command waited for its turn.
func (w *worker) queued() {
	if w.s.tracer == nil || w.published > 0 || w.waited {
		return
	}
	w.waited = true
	_, waited := w.s.span(w.ctx, "rdev.queue", trace.WithTimestamp(w.cmd.CreatedAt))
	waited.end(nil)
}

// storeSpan is the span of a call of a store. Its context ends with patience,
// not with the command's.
func (w *worker) storeSpan(op string) (context.Context, span) {
	ctx := trace.ContextWithSpan(w.s.patience, trace.SpanFromContext(w.ctx))
	return w.s.span(ctx, "rdev.store."+strings.ReplaceAll(op, " ", "_"))
}

// An execution is the span of an Execute, with the moment of the first line.
type execution struct {
	span
	began bool
}

func (w *worker) execution() (context.Context, *execution) {
	if w.s.tracer == nil {
		return w.ctx, nil
	}
	ctx, started := w.s.span(w.ctx, "rdev.execute", trace.WithAttributes(attribute.Int64("rdev.after", int64(w.sent))))
	return ctx, &execution{span: started}
}

// line is called with each batch of lines.
func (e *execution) line(first uint64) {
	if e == nil || e.began {
		return
	}
	e.began = true
	name := "first line"
	if first > 1 {
		name = "next line"
	}
	e.AddEvent(name, trace.WithAttributes(attribute.Int64("rdev.line", int64(first))))
}

func (e *execution) end(result exec.Result, err error) {
	if e == nil {
		return
	}
	if err == nil {
		e.AddEvent("exit", trace.WithAttributes(
			attribute.Int("process.exit.code", result.ExitCode),
			attribute.String("rdev.reason", string(result.Reason)),
			attribute.Int64("rdev.lines", int64(result.Lines)),
		))
	}
	e.span.end(err)
}
