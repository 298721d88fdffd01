package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver takes spans as a collector does, over HTTP.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*tracepb.Span
	services []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, attribute := range resource.Resource.Attributes {
				if attribute.Key == "service.name" {
					r.services = append(r.services, attribute.Value.GetStringValue())
				}
			}
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
)

func TestServeSendsOneTraceOfACommand(t *testing.T) {
	is := is.New(t)
	r := newReceiver(t)
	p := startProcess(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.URL, "OTEL_EXPORTER_OTLP_HEADERS=token=s3cret-of-the-collector",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	status, answer := p.ask("POST", "/projects/here/shell", `{"argv":["printenv","TRACEPARENT","TRACESTATE","OTEL_EXPORTER_OTLP_HEADERS"]}`,
		"Traceparent", "00-"+callerTrace+"-"+callerSpan+"-01", "Tracestate", "vendor=1", "X-Request-Id", "request-of-the-test")
	is.Equal(status, 201)
	var created struct {
		Data struct{ ID string }
	}
	is.NoErr(json.Unmarshal([]byte(answer), &created))
	_, events := p.ask("GET", "/projects/here/events?stream_id="+created.Data.ID, "")
	p.terminate()
	is.Equal(p.ended(), 0)

	// All is one trace, and it was sent before the end.
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[string]string{callerSpan: "caller"}
	run := ""
	for _, s := range r.spans {
		names[hex.EncodeToString(s.SpanId)] = s.Name
		if s.Name == "rdev.run" {
			run = hex.EncodeToString(s.SpanId)
		}
	}
	var edges, happened, readers []string
	for _, s := range r.spans {
		if s.Name == "GET /projects/:project/events" { // a trace of its own, with a link
			readers = append(readers, hex.EncodeToString(s.Links[0].TraceId))
			continue
		}
		is.Equal(hex.EncodeToString(s.TraceId), callerTrace)
		edges = append(edges, names[hex.EncodeToString(s.ParentSpanId)]+" > "+s.Name)
		for _, e := range s.Events {
			happened = append(happened, e.Name)
		}
	}
	slices.Sort(edges)
	is.Equal(slices.Compact(edges), []string{
		"POST /projects/:project/shell > rdev.run",
		"caller > POST /projects/:project/shell",
		"rdev.command > rdev.execute",
		"rdev.command > rdev.queue",
		"rdev.command > rdev.store.close_stream",
		"rdev.command > rdev.store.publish",
		"rdev.command > rdev.store.read_end_of_stream",
		"rdev.command > rdev.store.record_end",
		"rdev.run > rdev.command",
		"rdev.run > rdev.store.insert",
	})
	is.Equal(happened, []string{"first line", "exit"})
	is.Equal(readers, []string{callerTrace})
	is.Equal(slices.Compact(r.services), []string{"rdev"})

	// The command is below it.
	is.True(strings.Contains(events, `"line":"00-`+callerTrace+"-"+run+`-01"`))
	is.True(strings.Contains(events, `"line":"vendor=1"`))
	is.True(!strings.Contains(events, "s3cret"))

	// The log has the trace, and no secret of the collector.
	for line := range strings.Lines(p.said.String()) {
		is.True(!strings.Contains(line, "s3cret"))
		if strings.Contains(line, "request-of-the-test") {
			is.True(strings.Contains(line, `"trace_id":"`+callerTrace+`"`))
			is.True(strings.Contains(line, `"command":"`+created.Data.ID+`"`))
			return
		}
	}
	is.Fail() // the request is not in the log
}

// TestACollectorThatIsAwayHoldsNothingUp: commands run and the server ends.
func TestACollectorThatIsAwayHoldsNothingUp(t *testing.T) {
	is := is.New(t)
	r := newReceiver(t)
	r.Close()
	p := startProcess(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.URL)
	status, _ := p.ask("POST", "/projects/here/shell", `{"argv":["true"]}`)
	is.Equal(status, 201)
	p.terminate()
	is.Equal(p.ended(), 0)
	is.True(strings.Contains(p.said.String(), `"message":"traces"`))
}

func TestWhichVariablesTurnTracesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		env  func(string) string
		on   bool
		says string
	}{
		{"nothing is set", vars(), false, ""},
		{"an endpoint", vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), true, ""},
		{"an endpoint for traces", vars("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces"), true, ""},
		{"an exporter", vars("OTEL_TRACES_EXPORTER", "otlp"), true, ""},
		{"no exporter", vars("OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), false, ""},
		{"disabled", vars("OTEL_SDK_DISABLED", "true", "OTEL_TRACES_EXPORTER", "otlp"), false, ""},
		{"another exporter", vars("OTEL_TRACES_EXPORTER", "zipkin"), false, "zipkin"},
		{"another protocol", vars("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), false, "4318"},
		{"a protocol for traces", vars("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc",
			"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			on, err := tracesWanted(c.env)
			is.Equal(on, c.on)
			is.Equal(err != nil, c.says != "")
			is.True(err == nil || strings.Contains(err.Error(), c.says))
		})
	}
}
