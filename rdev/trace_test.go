package rdev_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// The caller's place in a trace.
const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
)

func caller() rdev.Trace {
	return rdev.Trace{Parent: "00-" + callerTrace + "-" + callerSpan + "-01", State: "vendor=1"}
}

// spans collects what is traced.
func spans(t *testing.T) (*tracetest.InMemoryExporter, trace.TracerProvider) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return exporter, provider
}

// tree is the spans as "parent > name", in alphabetical order, all of one trace.
func tree(t *testing.T, exporter *tracetest.InMemoryExporter) []string {
	t.Helper()
	names := map[string]string{callerSpan: "caller"}
	stubs := exporter.GetSpans()
	for _, s := range stubs {
		names[s.SpanContext.SpanID().String()] = s.Name
		if s.SpanContext.TraceID().String() != callerTrace {
			t.Errorf("span %s is in another trace", s.Name)
		}
	}
	var edges []string
	for _, s := range stubs {
		edges = append(edges, names[s.Parent.SpanID().String()]+" > "+s.Name)
	}
	slices.Sort(edges)
	return edges
}

// find returns the only span of that name.
func find(t *testing.T, exporter *tracetest.InMemoryExporter, name string) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, s := range exporter.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %s", len(found), name)
	}
	return found[0]
}

func eventNames(s tracetest.SpanStub) (names []string) {
	for _, e := range s.Events {
		names = append(names, e.Name)
	}
	return names
}

func TestOneTraceFromRequestToEnd(t *testing.T) {
	is := is.New(t)
	exporter, provider := spans(t)
	p := newParts(t)
	given := make(chan exec.Command, 1)
	p.executor.Func = func(cmd exec.Command) (exectest.Script, bool) {
		given <- cmd
		return exectest.Lines("one", "two"), true
	}
	s := p.open(t, func(c *rdev.Config) { c.TracerProvider = provider })
	req := rdev.Request{Project: "app", RequestID: "request-1", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"anything"}}}}
	cmd, _, err := s.Run(caller().Context(t.Context()), auth.Admin(), req)
	is.NoErr(err)
	follow(t, s, cmd.ID, 0)
	shut(t, s)

	is.Equal(tree(t, exporter), []string{
		"caller > rdev.run",
		"rdev.command > rdev.execute",
		"rdev.command > rdev.queue",
		"rdev.command > rdev.store.close_stream",
		"rdev.command > rdev.store.publish", // the first lines
		"rdev.command > rdev.store.publish", // the end
		"rdev.command > rdev.store.read_end_of_stream",
		"rdev.command > rdev.store.record_end",
		"rdev.run > rdev.command",
		"rdev.run > rdev.store.insert",
	})
	is.Equal(eventNames(find(t, exporter, "rdev.execute")), []string{"first line", "exit"})
	queue := find(t, exporter, "rdev.queue")
	is.True(queue.StartTime.Equal(cmd.CreatedAt))

	// The command finds itself below rdev.run, and so does whoever goes on
	// with it: both are in the record.
	run := find(t, exporter, "rdev.run").SpanContext
	want := rdev.Trace{Parent: "00-" + callerTrace + "-" + run.SpanID().String() + "-01", State: "vendor=1"}
	is.Equal((<-given).Env, map[string]string{"TRACEPARENT": want.Parent, "TRACESTATE": "vendor=1"})
	stored, err := p.commands.Get(t.Context(), cmd.ID)
	is.NoErr(err)
	is.Equal(stored.Trace, want)
	is.Equal(stored.Trace.ID(), callerTrace)
	is.Equal(stored.RequestID, "request-1")
}

// TestTheNextServiceGoesOnWithTheTrace detaches from a command and goes on with
// it in another Service, as after a restart.
func TestTheNextServiceGoesOnWithTheTrace(t *testing.T) {
	is := is.New(t)
	exporter, provider := spans(t)
	p := newParts(t)
	p.executor.Programs["long"] = exectest.Script{Steps: []exectest.Step{{Text: "one\n"}, {Delay: 300 * time.Millisecond, Text: "two\n"}}}
	traced := func(c *rdev.Config) { c.TracerProvider, c.LeaveRunning = provider, true }
	first := p.open(t, traced)
	cmd, _, err := first.Run(caller().Context(t.Context()), auth.Admin(), shell("long"))
	is.NoErr(err)
	sub, _, err := first.Subscribe(t.Context(), auth.Admin(), "app", cmd.ID, 0)
	is.NoErr(err)
	_, err = sub.Next(t.Context()) // its first line is there
	is.NoErr(err)
	sub.Close()
	shut(t, first)
	second := p.open(t, traced)
	follow(t, second, cmd.ID, 0)
	shut(t, second)

	edges := tree(t, exporter)
	is.Equal(len(slices.DeleteFunc(slices.Clone(edges), func(e string) bool { return e != "rdev.run > rdev.command" })), 2)
	is.Equal(len(slices.DeleteFunc(slices.Clone(edges), func(e string) bool { return e != "rdev.command > rdev.execute" })), 2)
	var events []string
	for _, s := range exporter.GetSpans() {
		if s.Name == "rdev.execute" {
			events = append(events, eventNames(s)...)
		}
	}
	is.Equal(events, []string{"first line", "next line", "exit"})
}

// TestTheQueueIsASpan: a command that waits for another one's place shows for
// how long; so does one that is cancelled while it waits.
func TestTheQueueIsASpan(t *testing.T) {
	is := is.New(t)
	exporter, provider := spans(t)
	p := newParts(t)
	s := p.open(t, func(c *rdev.Config) {
		c.TracerProvider = provider
		c.Projects = rdev.FixedProjects(rdev.Project{Name: "app", Limits: rdev.Limits{Commands: 1}})
	})
	first := run(t, s, shell("sleep"))
	waits := shell("hello")
	waits.MaxWait = time.Minute
	second, third := run(t, s, waits), run(t, s, waits)
	_, err := s.Cancel(t.Context(), auth.Admin(), "app", third.ID)
	is.NoErr(err)
	follow(t, s, third.ID, 0)
	_, err = s.Cancel(t.Context(), auth.Admin(), "app", first.ID)
	is.NoErr(err)
	follow(t, s, second.ID, 0)
	shut(t, s)
	ends := map[string]time.Time{} // of rdev.queue, by trace
	var freed time.Time
	for _, span := range exporter.GetSpans() {
		id := span.SpanContext.TraceID().String()
		switch {
		case span.Name == "rdev.queue":
			ends[id] = span.EndTime
		case span.Name == "rdev.execute" && id == first.Trace.ID():
			freed = span.EndTime
		}
	}
	is.Equal(len(ends), 3)
	is.True(ends[second.Trace.ID()].After(freed))
	is.True(ends[third.Trace.ID()].Before(freed))
}

func TestACommandKeepsATraceOfItsOwn(t *testing.T) {
	is := is.New(t)
	_, provider := spans(t)
	p := newParts(t)
	given := make(chan exec.Command, 2)
	p.executor.Func = func(cmd exec.Command) (exectest.Script, bool) {
		given <- cmd
		return exectest.Lines(), true
	}
	own := rdev.Request{Project: "app", Request: policy.Request{Env: map[string]string{"TRACEPARENT": "mine"}, Shell: &policy.Shell{Argv: []string{"x"}}}}
	s := p.open(t, func(c *rdev.Config) { c.TracerProvider = provider })
	_, _, err := s.Run(caller().Context(t.Context()), auth.Admin(), own)
	is.NoErr(err)
	is.Equal((<-given).Env, own.Env)

	off := newParts(t)
	off.executor.Func = p.executor.Func
	s = off.open(t)
	cmd, _, err := s.Run(caller().Context(t.Context()), auth.Admin(), shell("x"))
	is.NoErr(err)
	is.Equal(len((<-given).Env), 0)
	is.Equal(cmd.Trace, rdev.Trace{})
}

func TestFailuresSayWhichCommandTheyAreAbout(t *testing.T) {
	is := is.New(t)
	_, provider := spans(t)
	p := newParts(t)
	told := make(chan error, 100)
	s := p.open(t, func(c *rdev.Config) {
		c.TracerProvider = provider
		c.Broker = &reluctant{Broker: p.broker}
		c.OnError = func(err error) { told <- err }
	})
	req := shell("hello")
	req.RequestID = "request-7"
	cmd, _, err := s.Run(caller().Context(t.Context()), auth.Admin(), req)
	is.NoErr(err)
	var about *rdev.CommandError
	is.True(errors.As(<-told, &about))
	is.Equal(about.CommandID, cmd.ID)
	is.Equal(about.Project, "app")
	is.Equal(about.KeyID, "admin")
	is.Equal(about.RequestID, "request-7")
	is.Equal(about.TraceID, callerTrace)
	follow(t, s, cmd.ID, 0)
}

// reluctant takes nothing the first time.
type reluctant struct {
	stream.Broker
	asked atomic.Bool
}

func (r *reluctant) Publish(ctx context.Context, id string, events []stream.Event) error {
	if r.asked.CompareAndSwap(false, true) {
		return errors.New("not now")
	}
	return r.Broker.Publish(ctx, id, events)
}
