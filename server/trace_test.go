package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
)

const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
)

// traced returns a stand whose spans are collected.
func traced(t *testing.T, change func(*setup)) (*stand, *tracetest.InMemoryExporter) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	return newStand(t, func(up *setup) {
		if change != nil {
			change(up)
		}
		up.config.TracerProvider = provider
	}), exporter
}

// span waits for the span of that name.
func span(t *testing.T, exporter *tracetest.InMemoryExporter, name string) tracetest.SpanStub {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, s := range exporter.GetSpans() {
			if s.Name == name {
				return s
			}
		}
	}
	t.Fatalf("no span %s ends", name)
	return tracetest.SpanStub{}
}

func has(s tracetest.SpanStub, want attribute.KeyValue) bool {
	for _, a := range s.Attributes {
		if a == want {
			return true
		}
	}
	return false
}

func TestARequestIsASpanOfTheCallersTrace(t *testing.T) {
	for name, change := range map[string]func(*setup){"taken over": nil, "through middleware": wrapped} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			st, exporter := traced(t, change)
			ran := st.do("POST", "/projects/web/shell", `{"argv":["echo"]}`, "Traceparent", "00-"+callerTrace+"-"+callerSpan+"-01", "X-Request-Id", "run-12345678")
			is.Equal(ran.status, http.StatusCreated)
			id := data[struct{ ID string }](t, ran).ID
			st.do("GET", "/projects/web/events?stream_id="+id, "")

			post := span(t, exporter, "POST /projects/:project/shell")
			is.Equal(post.SpanContext.TraceID().String(), callerTrace)
			is.Equal(post.Parent.SpanID().String(), callerSpan)
			for _, want := range []attribute.KeyValue{
				attribute.String("http.request.method", "POST"),
				attribute.String("http.route", "/projects/:project/shell"),
				attribute.Int("http.response.status_code", 201),
				attribute.String("rdev.request.id", "run-12345678"),
				attribute.String("rdev.project", "web"),
				attribute.String("rdev.command.id", id),
				attribute.String("rdev.key.id", "admin"),
			} {
				is.True(has(post, want))
			}
			is.Equal(span(t, exporter, "rdev.run").Parent.SpanID(), post.SpanContext.SpanID())
			is.Equal(span(t, exporter, "rdev.command").SpanContext.TraceID(), post.SpanContext.TraceID())

			// A reader has a trace of its own, and finds the command's.
			events := span(t, exporter, "GET /projects/:project/events")
			is.True(events.SpanContext.TraceID() != post.SpanContext.TraceID())
			is.Equal(len(events.Links), 1)
			is.Equal(events.Links[0].SpanContext.TraceID(), post.SpanContext.TraceID())
			is.True(has(events, attribute.String("rdev.command.id", id)))

			is.Equal(st.lines(of("run-12345678"))[0]["trace_id"], callerTrace)
		})
	}
}

func TestProbesAndStrangersMakeNoSpans(t *testing.T) {
	is := is.New(t)
	st, exporter := traced(t, nil)
	st.do("GET", "/healthz", "")
	st.do("GET", "/readyz", "")
	st.do("GET", "/projects", "", "Authorization", "")
	st.do("GET", "/projects", "", "Authorization", "Bearer "+auth.FormatKey(auth.NewKey()).Reveal())
	st.do("GET", "/nowhere", "")
	is.Equal(len(exporter.GetSpans()), 0)
	st.do("GET", "/projects", "", "Traceparent", "nonsense")
	is.True(!span(t, exporter, "GET /projects").Parent.IsValid())
}

func TestNoTraceCostsNothing(t *testing.T) {
	cost := server.CostOfNoTrace(rdev.Command{ID: "cmd-1"})
	if n := testing.AllocsPerRun(100, cost); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
