// Package bench measures the whole product: a real server on a TCP port of this
// machine, a real SQLite file, real processes. Figures are ratios within one
// run, because machines differ; docs/performance.md has those of one.
package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream/sse"
)

const adminKey = "admin-key-of-the-benchmarks-of-no-use-elsewhere"

// product is a running server with what a client needs.
type product struct {
	url    string
	folder string // the project's
	http   *http.Client
}

// start serves a folder of this machine.
func start(b *testing.B) *product {
	b.Helper()
	folder := b.TempDir()
	executor, err := local.New(local.Config{
		Dir: b.TempDir(), Targets: local.Folders(map[string]string{"bench": folder}), Env: os.Environ(),
	})
	fatal(b, err)
	b.Cleanup(func() { fatal(b, executor.Close(context.Background())) })
	p := serve(b, executor)
	p.folder = folder
	return p
}

// serve has the executor's commands run in the project bench.
func serve(b *testing.B, executor exec.Executor) *product {
	b.Helper()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(b.TempDir(), "rdev.db"), nil)
	fatal(b, err)
	svc, err := rdev.New(ctx, rdev.Config{
		Executor: executor, Projects: rdev.FixedProjects(rdev.Project{Name: "bench"}),
		Commands: store.Commands(), Broker: store.Broker(), Keys: store.Keys(),
		MaxOutput: 1 << 30,
		OnError:   func(err error) { b.Error(err) },
	})
	fatal(b, err)
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: store.Keys(), AdminKey: auth.NewSecret(adminKey)})
	fatal(b, err)
	handler, err := server.New(svc, authn, server.Config{})
	fatal(b, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(b, err)
	httpServer := handler.NewHTTPServer("")
	served := make(chan struct{})
	go func() { _ = httpServer.Serve(listener); close(served) }() // ends by Close
	b.Cleanup(func() {
		fatal(b, httpServer.Close())
		<-served
		fatal(b, svc.Close(ctx))
		fatal(b, authn.Close(ctx))
		fatal(b, store.Close(ctx))
	})
	return &product{
		url:  "http://" + listener.Addr().String(),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true}},
	}
}

func fatal(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (p *product) request(b *testing.B, method, path string, body any, headers ...string) *http.Response {
	b.Helper()
	var r io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		fatal(b, err)
		r = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, p.url+path, r)
	fatal(b, err)
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.http.Do(req)
	fatal(b, err)
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body)
		b.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp
}

// runAndFollow starts a command with a request that is answered with its events,
// and calls each for every line.
func (p *product) runAndFollow(b *testing.B, each func(), argv ...string) (lines int) {
	b.Helper()
	resp := p.request(b, "POST", "/projects/bench/shell", map[string]any{"argv": argv}, "Accept", "text/event-stream")
	return readEvents(b, resp, each)
}

// run starts a command and returns the path of its events.
func (p *product) run(b *testing.B, argv ...string) string {
	b.Helper()
	resp := p.request(b, "POST", "/projects/bench/shell", map[string]any{"argv": argv})
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			StreamID string `json:"stream_id"`
		} `json:"data"`
	}
	fatal(b, json.NewDecoder(resp.Body).Decode(&answer))
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return "/projects/bench/events?stream_id=" + answer.Data.StreamID
}

// batches has lines that are there together come as one event, which is what the
// project's own client asks for.
const batches = "&output=batches"

// follow reads the events to the terminal one, in batches, and returns how many
// lines there were.
func (p *product) follow(b *testing.B, events string) (lines int) {
	b.Helper()
	return p.followEach(b, events+batches, func() {})
}

// followEach calls each for every line.
func (p *product) followEach(b *testing.B, events string, each func()) (lines int) {
	b.Helper()
	return readEvents(b, p.request(b, "GET", events, nil), each)
}

func readEvents(b *testing.B, resp *http.Response, each func()) (lines int) {
	b.Helper()
	defer resp.Body.Close()
	decoder := sse.NewDecoder(resp.Body, nil)
	for {
		e, err := decoder.Next()
		if err != nil {
			b.Fatalf("after %d lines: %v", lines, err)
		}
		switch string(e.Name) {
		case "output":
			for range bytes.Count(e.Data, []byte("\n")) + 1 {
				each()
				lines++
			}
		case "complete":
			if !bytes.Contains([]byte(e.Data), []byte(`"exit_code":0`)) {
				b.Fatalf("complete: %s", e.Data)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			return lines
		case "error", "gap":
			b.Fatalf("%s: %s", e.Name, e.Data)
		}
	}
}

// BenchmarkEcho is `echo hi`, from POST to complete over HTTP and server-sent
// events, against a bare fork and exec of the same program; both in turn, so
// that they meet the same noise. Figures are medians. The aim is a ratio of 3.
func BenchmarkEcho(b *testing.B) {
	p := start(b)
	echo, err := osexec.LookPath("echo")
	fatal(b, err)
	p.follow(b, p.run(b, echo, "hi"))
	bare, whole := make([]float64, 0, b.N), make([]float64, 0, b.N)
	b.ResetTimer()
	for range b.N {
		begin := time.Now()
		if out, err := osexec.Command(echo, "hi").Output(); err != nil || string(out) != "hi\n" {
			b.Fatalf("%q, %v", out, err)
		}
		middle := time.Now()
		if lines := p.follow(b, p.run(b, echo, "hi")); lines != 1 {
			b.Fatalf("%d lines", lines)
		}
		bare = append(bare, float64(middle.Sub(begin).Microseconds()))
		whole = append(whole, float64(time.Since(middle).Microseconds()))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(bare), "bare-µs")
	b.ReportMetric(median(whole), "rdev-µs")
	b.ReportMetric(median(whole)/median(bare), "ratio")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkLines is 100,000 lines of 64 bytes, stored and streamed to one
// reader, in batches. The aim is 300,000 lines a second.
func BenchmarkLines(b *testing.B) {
	const lines = 100_000
	p := start(b)
	text := strings.Repeat(strings.Repeat("x", 63)+"\n", lines)
	fatal(b, os.WriteFile(filepath.Join(p.folder, "lines.txt"), []byte(text), 0o600))
	b.ResetTimer()
	for range b.N {
		if got := p.follow(b, p.run(b, "cat", "lines.txt")); got != lines {
			b.Fatalf("%d lines", got)
		}
	}
	b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkMemory is the growth of the server's memory over a command with ten
// times as much output as another. The aim is none: output is never held as a
// whole.
func BenchmarkMemory(b *testing.B) {
	p := start(b)
	block := strings.Repeat(strings.Repeat("y", 99)+"\n", 10_000)
	for range b.N {
		var peaks []float64
		for _, megabytes := range []int{20, 200} {
			name := fmt.Sprintf("%dMB.txt", megabytes)
			writeBlocks(b, filepath.Join(p.folder, name), block, megabytes)
			stop := make(chan struct{})
			var peak uint64
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapInuse+m.StackInuse)
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			})
			p.follow(b, p.run(b, "cat", name))
			close(stop)
			wg.Wait()
			peaks = append(peaks, float64(peak)/(1<<20))
		}
		b.ReportMetric(peaks[0], "MiB-at-20MB")
		b.ReportMetric(peaks[1], "MiB-at-200MB")
	}
}

func writeBlocks(b *testing.B, path, block string, n int) {
	b.Helper()
	f, err := os.Create(path)
	fatal(b, err)
	for range n {
		_, err := io.WriteString(f, block)
		fatal(b, err)
	}
	fatal(b, f.Close())
}

// BenchmarkIdleReaders is what 1,000 readers of a command that prints nothing
// cost the server. The aim is 30 KB each, everything in the process counted:
// heap, stacks, and the clients' sockets as well, since they share it.
func BenchmarkIdleReaders(b *testing.B) {
	const readers = 1000
	p := start(b)
	events := p.run(b, "sleep", "600")
	for range b.N {
		before := inUse()
		conns := make([]net.Conn, readers)
		for i := range conns {
			conns[i] = p.idle(b, events)
		}
		after := inUse()
		for _, c := range conns {
			fatal(b, c.Close())
		}
		b.ReportMetric(float64(after-before)/readers/1000, "KB/reader")
	}
	b.ReportMetric(0, "ns/op")
}

// idle opens a stream over a bare connection, reads its first event with the
// smallest means, and leaves it open.
func (p *product) idle(b *testing.B, path string) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	fatal(b, err)
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", path, adminKey)
	fatal(b, err)
	r := bufio.NewReaderSize(conn, 4096)
	for {
		line, err := r.ReadString('\n')
		fatal(b, err)
		if strings.HasPrefix(line, "data:") {
			return conn
		}
	}
}

// inUse is the memory that the process cannot give back.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
