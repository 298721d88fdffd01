package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/matryer/is"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
)

// TestStopHandsOver stops one of two servers on one Postgres while 500 readers
// follow a command through it, in a place that both reach, as pods are: the
// other one goes on with the command and with the readers.
func TestStopHandsOver(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	script := exectest.Script{}
	for i := range drainLines {
		script.Steps = append(script.Steps, exectest.Step{Delay: 20 * time.Millisecond, Text: fmt.Sprintf("line %d\n", i+1)})
	}
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"long": script}}
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	replica := func() *running {
		s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, OnError: func(error) {}})
		is.NoErr(err)
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		return ports{pods, s.Commands(), s.Broker(), s.Keys(), provider}.serve(t, true)
	}
	first, second := replica(), replica()

	cmd, _, err := first.service.Run(t.Context(), auth.Admin(), rdev.Request{
		Project: "web", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"long"}}},
	})
	is.NoErr(err)
	readers := make([]tally, drainReaders)
	readAll(t, readers, first.url, cmd.ID, func() {
		// Before anybody is sent away, requests are to go elsewhere.
		first.handler.Leave()
		resp, err := http.Get(first.url + "/readyz")
		is.NoErr(err)
		is.NoErr(resp.Body.Close())
		is.Equal(resp.StatusCode, http.StatusServiceUnavailable)
		first.stop(t)
	})
	for i := range readers {
		is.Equal(readers[i].end, "") // the command goes on
		is.True(readers[i].retry >= 2*time.Second && readers[i].retry < 6*time.Second)
		is.True(readers[i].lines < drainLines)
	}
	_, _, err = first.service.Run(t.Context(), auth.Admin(), rdev.Request{
		Project: "web", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"long"}}},
	})
	is.Equal(rdev.CodeOf(err), rdev.CodeUnavailable) // no new commands

	readAll(t, readers, second.url, cmd.ID, func() {})
	for i := range readers {
		is.Equal(readers[i].lines, uint64(drainLines))
		is.Equal(readers[i].end, "complete")
	}
	ended, err := second.service.Get(t.Context(), auth.Admin(), "web", cmd.ID)
	is.NoErr(err)
	is.Equal(ended.State, rdev.StateSucceeded)

	// Both servers' work is in the trace of the request.
	second.stop(t)
	replicas := map[string]bool{}
	for _, s := range exporter.GetSpans() {
		if s.Name != "rdev.command" {
			continue
		}
		is.Equal(s.SpanContext.TraceID().String(), ended.Trace.ID())
		for _, a := range s.Attributes {
			if a.Key == "rdev.replica" {
				replicas[a.Value.AsString()] = true
			}
		}
	}
	is.Equal(len(replicas), 2)
}
