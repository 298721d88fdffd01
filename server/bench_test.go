package server_test

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// benchLines is how many lines of 64 bytes one operation streams.
const benchLines = 100_000

// benchStand is a stand with a finished stream of benchLines lines in memory.
func benchStand(b *testing.B) *stand {
	b.Helper()
	memory := stream.NewMemory(stream.MemoryConfig{StreamBytes: 128 << 20, TotalBytes: 128 << 20})
	b.Cleanup(memory.Shutdown)
	st := newStand(b, func(up *setup) { up.broker = memory; up.config.Log = nil })
	st.command("bench", rdev.StateSucceeded)
	data := []byte(`{"line":"` + strings.Repeat("x", 64) + `","stream":"stdout"}`)
	for seq := uint64(1); seq <= benchLines; seq += 1000 {
		events := make([]stream.Event, 1000)
		for i := range events {
			events[i] = stream.Event{Seq: seq + uint64(i), Kind: stream.Output, Data: data}
		}
		if err := memory.Publish(b.Context(), "bench", events); err != nil {
			b.Fatal(err)
		}
	}
	st.complete("bench", benchLines+1)
	return st
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchLines/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkStreamBytes is the server's part: a reader that only counts.
func BenchmarkStreamBytes(b *testing.B) {
	for _, output := range []string{"lines", "batches"} {
		b.Run(output, func(b *testing.B) {
			st := benchStand(b)
			b.ReportAllocs()
			for b.Loop() {
				resp := st.open("GET", "/projects/web/events?stream_id=bench&output="+output, "")
				n, err := io.Copy(io.Discard, resp.Body)
				if err != nil || n < benchLines*64 {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
			perSecond(b)
		})
	}
}

// BenchmarkStreamFollow is server and client together.
func BenchmarkStreamFollow(b *testing.B) {
	st := benchStand(b)
	c := st.client(adminKey, nil)
	b.ReportAllocs()
	for b.Loop() {
		lines := 0
		_, err := c.Follow(b.Context(), "web", "bench", 0, func(events []client.Event) error {
			lines += len(events)
			return nil
		})
		if err != nil || lines != benchLines {
			b.Fatal(lines, err)
		}
	}
	perSecond(b)
}

// BenchmarkRealOutput is everything: a process prints, the lines are stored in
// SQLite and streamed to one reader while it runs.
func BenchmarkRealOutput(b *testing.B) {
	st := newRealStand(b)
	c := st.client(adminKey, nil)
	script := fmt.Sprintf("yes %s | head -n %d", strings.Repeat("x", 64), benchLines)
	for b.Loop() {
		cmd, err := c.RunShell(b.Context(), "web", client.Shell{Argv: []string{"sh", "-c", script}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		lines := 0
		end, err := c.Follow(b.Context(), "web", cmd.ID, 0, func(events []client.Event) error {
			lines += len(events)
			return nil
		})
		if err != nil || lines != benchLines || end.State != client.Succeeded {
			b.Fatal(lines, end, err)
		}
	}
	perSecond(b)
}

// BenchmarkPostToComplete is the time from the POST to the complete event of
// echo hi, over HTTP, and which part of it the process and its supervisor, the
// SQLite file and the API have. BenchmarkForkExec is the bare process.
func BenchmarkPostToComplete(b *testing.B) {
	for _, part := range []struct {
		name   string
		change func(*setup)
	}{
		{"All", func(up *setup) { realProcesses(b, up); realStore(b, up) }},
		{"ProcessAlone", func(up *setup) { realProcesses(b, up) }},
		{"StoreAlone", func(up *setup) { realStore(b, up) }},
		{"APIAlone", nil},
	} {
		b.Run(part.name, func(b *testing.B) {
			st := newStand(b, part.change)
			c := st.client(adminKey, nil)
			b.ReportAllocs()
			for b.Loop() {
				cmd, err := c.RunShell(b.Context(), "web", client.Shell{Argv: []string{"echo", "hi"}}, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Follow(b.Context(), "web", cmd.ID, 0, func([]client.Event) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkForkExec(b *testing.B) {
	for b.Loop() {
		if _, err := exec.Command("echo", "hi").Output(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode is what any reader pays for text/event-stream alone.
func BenchmarkDecode(b *testing.B) {
	st := benchStand(b)
	for b.Loop() {
		resp := st.open("GET", "/projects/web/events?stream_id=bench", "")
		events := sse.NewDecoder(resp.Body, nil)
		for {
			if _, err := events.Next(); err != nil {
				break
			}
		}
		resp.Body.Close()
	}
	perSecond(b)
}
