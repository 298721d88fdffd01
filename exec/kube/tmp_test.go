package kube

import (
	"context"
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/kubetest"
)

func BenchmarkTmpRTT(b *testing.B) {
	ctx := context.Background()
	c := kubetest.Shared(b)
	namespace := c.Namespace(b)
	c.RunPod(b, kubetest.Pod{
		Namespace: namespace, Image: kubetest.Debian,
		Labels:      map[string]string{ProjectLabel: "true", NameLabel: "bench"},
		Annotations: map[string]string{WorkspaceAnnotation: "/workspace"},
	})
	x, err := New(c.RESTConfig(), &Options{Namespace: namespace})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close(ctx)
	target, err := x.Locate(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	run := func(i int) (line, end time.Duration) {
		t := time.Now()
		_, err := x.Execute(ctx, exec.Command{ID: fmt.Sprintf("st-%d", i), Target: target, Argv: []string{"echo", "hi"}, MaxOutput: 1 << 20}, func(l []exec.Line) error { line = time.Since(t); return nil })
		if err != nil {
			b.Fatal(err)
		}
		return line, time.Since(t)
	}
	run(-1)
	s, err := x.supervisorOf(ctx, target, "x")
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("state %s", s.at.state)
	var rtt, line, end []float64
	for i := range b.N {
		t := time.Now()
		if _, err := s.client.Status(ctx); err != nil {
			b.Fatal(err)
		}
		rtt = append(rtt, float64(time.Since(t).Microseconds()))
		time.Sleep(20 * time.Millisecond)
		l, e := run(i)
		line = append(line, float64(l.Microseconds()))
		end = append(end, float64(e.Microseconds()))
		time.Sleep(20 * time.Millisecond)
	}
	for name, v := range map[string][]float64{"rtt": rtt, "line": line, "end": end} {
		sort.Float64s(v)
		b.ReportMetric(v[len(v)/2], name+"-µs")
	}
	b.ReportMetric(0, "ns/op")
}
