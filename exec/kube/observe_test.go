package kube_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// A tally counts what an Executor tells.
type tally struct{ placed, failed, first, again atomic.Int64 }

func (y *tally) ShimPlaced(how string, took time.Duration) {
	if how == "placed" && took > 0 {
		y.placed.Add(1)
	} else {
		y.failed.Add(1)
	}
}

func (y *tally) ShimReached(again bool) {
	if again {
		y.again.Add(1)
	} else {
		y.first.Add(1)
	}
}

// TestShimsAreTold cuts the connections to the API server under a command, and
// looks at what the Observer and the trace have of it.
func TestShimsAreTold(t *testing.T) {
	is := is.New(t)
	namespace := kubetest.Shared(t).Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	proxy, config := through(t, nil)
	var told tally
	x := newExecutorAt(t, config, namespace, func(o *kube.Options) { o.Observer, o.TracerProvider = &told, provider })
	target := awaitRunning(t, x, "web")

	ctx, caller := provider.Tracer("test").Start(limited(t), "caller")
	r := start(ctx, x, target, "sh", "-c", "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo ended")
	eventually(t, "a line comes", func() bool { return r.text() != "" })
	is.Equal(told.placed.Load(), int64(1))
	is.Equal(told.first.Load(), int64(1))
	is.Equal(told.again.Load(), int64(0))
	proxy.CutAll()
	eventually(t, "the shim is reached again", func() bool { return told.again.Load() > 0 })
	_, err := kubetest.Shared(t).Exec(limited(t), pod, "touch", "/tmp/go")
	is.NoErr(err)
	r.wait(t)
	caller.End()
	is.NoErr(r.err)
	is.Equal(r.text(), "begun\nended\n")
	is.Equal(told.first.Load(), int64(1))
	is.Equal(told.failed.Load(), int64(0))

	var names []string
	for _, s := range exporter.GetSpans() {
		if s.Name == "caller" {
			continue
		}
		names = append(names, s.Name)
		is.Equal(s.Parent.SpanID(), caller.SpanContext().SpanID())
		for _, a := range s.Attributes {
			if a.Key == "k8s.pod.name" {
				is.Equal(a.Value.AsString(), pod.Name)
				names = append(names, "in the pod")
			}
		}
	}
	is.Equal(names, []string{"kube.shim", "kube.stream", "in the pod"})
}
