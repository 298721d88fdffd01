package server

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/rdev"
)

// startSpan begins the span of a request, below the caller's if that sent a
// traceparent. It is called when the caller is known: probes and strangers
// make no spans. Without a TracerProvider it does nothing.
func (s *Server) startSpan(x *exchange) {
	if s.tracer == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(x.r.Context(), propagation.HeaderCarrier(x.r.Header))
	ctx, x.span = s.tracer.Start(ctx, x.method+" "+x.route.path,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.began),
		trace.WithAttributes(
			attribute.String("http.request.method", x.method),
			attribute.String("http.route", x.route.path),
			attribute.String("rdev.request.id", x.id),
		))
	x.r = x.r.WithContext(ctx)
}

// concerns notes the command that the request turned out to be about, for the
// log, and joins the request's span with the command's trace if they are apart.
func (x *exchange) concerns(cmd rdev.Command) {
	x.commandID = cmd.ID
	if x.span == nil {
		return
	}
	there := trace.SpanContextFromContext(cmd.Trace.Context(x.r.Context()))
	if there.IsValid() && there.TraceID() != x.span.SpanContext().TraceID() {
		x.span.AddLink(trace.Link{SpanContext: there})
	}
}

// endSpan ends the span with what the log says, and no more.
func (x *exchange) endSpan() {
	if x.span == nil {
		return
	}
	x.span.SetAttributes(attribute.Int("http.response.status_code", x.status))
	x.tell(func(field, value string) {
		if name, ok := spanNames[field]; ok {
			x.span.SetAttributes(attribute.String(name, value))
		}
	})
	if x.status >= 500 || x.code == string(rdev.CodeInternal) {
		x.span.SetStatus(codes.Error, x.code)
	}
	x.span.End()
}

// spanNames are the attributes for fields of the log.
var spanNames = map[string]string{
	"project": "rdev.project", "command": "rdev.command.id", "key_id": "rdev.key.id", "code": "rdev.code", "from": "client.address",
}

// traceID is that of the request's span, "" if it has none.
func (x *exchange) traceID() string {
	if x.span == nil || !x.span.SpanContext().IsValid() {
		return ""
	}
	return x.span.SpanContext().TraceID().String()
}
