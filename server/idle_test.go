package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/store/sqlite"
)

// childEnv makes the test program the server of TestIdleReaders: memory is
// measured from outside, of a process that does nothing else.
const childEnv = "SERVER_TEST_CHILD"

// idleServer serves over SQLite, as rdev does by default, until its standard
// input ends.
func idleServer(dir string) error {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "rdev.db"), nil)
	if err != nil {
		return err
	}
	svc, err := rdev.New(ctx, rdev.Config{
		Executor: &exectest.Fake{}, Projects: projectList{newRecords("web")}, Commands: store.Commands(), Broker: store.Broker(), Keys: store.Keys(),
	})
	if err != nil {
		return err
	}
	for i := range idleStreams {
		_, _, err := store.Commands().Insert(ctx, rdev.Command{
			ID: fmt.Sprintf("cmd-%d", i), Project: "web", Type: policy.TypeShell, Argv: []string{"idle"}, State: rdev.StateRunning, KeyID: "admin", CreatedAt: time.Now(),
		})
		if err != nil {
			return err
		}
	}
	_, secret, err := svc.CreateKey(ctx, auth.Admin(), rdev.KeySpec{Name: "reader", Scopes: []auth.Scope{auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"}})
	if err != nil {
		return err
	}
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: store.Keys()})
	if err != nil {
		return err
	}
	srv, err := server.New(svc, authn, server.Config{Heartbeat: idleHeartbeat})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = srv.NewHTTPServer("").Serve(listener) }()
	fmt.Println(listener.Addr(), secret.Reveal())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() { // one report per line
		runtime.GC() // twice, for what a finalizer or a pool has held on to
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println(m.HeapInuse, m.StackInuse, runtime.NumGoroutine())
	}
	return nil
}

const (
	idleReaders   = 1000
	idleStreams   = 100
	idleHeartbeat = time.Second
)

// TestIdleReaders: a reader that waits holds less than 30 KB, everything with
// it, in the memory that the system counts. What is logged besides is the
// garbage of a thousand requests in one moment with it, which the collector
// takes away in its time.
func TestIdleReaders(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("memory is read from /proc")
	}
	is := is.New(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	is.NoErr(err)
	stdout, err := child.StdoutPipe()
	is.NoErr(err)
	is.NoErr(child.Start())
	defer func() { _ = stdin.Close(); _ = child.Wait() }()
	answers := bufio.NewReader(stdout)
	var addr, key string
	_, err = fmt.Fscanln(answers, &addr, &key)
	is.NoErr(err)
	report := func() (heap, stack, goroutines int) {
		_, err := io.WriteString(stdin, "\n")
		is.NoErr(err)
		_, err = fmt.Fscanln(answers, &heap, &stack, &goroutines)
		is.NoErr(err)
		return heap, stack, goroutines
	}

	open := func(n int) net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "GET /projects/web/events?stream_id=cmd-%d HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", n%idleStreams, key)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for n := range 50 { // so that what is made once is not counted
		conn := open(n)
		_, _ = conn.Read(make([]byte, 1024))
		conn.Close()
	}
	time.Sleep(idleHeartbeat)
	heap0, stack0, goroutines0 := report()
	before := rss(t, child.Process.Pid)
	conns := make([]net.Conn, idleReaders)
	for n := range conns {
		conns[n] = open(n)
		defer conns[n].Close()
	}
	for _, conn := range conns { // all are there
		_, err := conn.Read(make([]byte, 1))
		is.NoErr(err)
	}
	time.Sleep(3 * idleHeartbeat) // some heartbeats belong to waiting
	garbage := rss(t, child.Process.Pid)
	heap, stack, goroutines := report()
	after := rss(t, child.Process.Pid)
	each := (after - before) / idleReaders
	t.Logf("%d readers: %d bytes of RSS each (%d with garbage); heap %d, stacks %d, goroutines %.2f each", idleReaders, each,
		(garbage-before)/idleReaders, (heap-heap0)/idleReaders, (stack-stack0)/idleReaders, float64(goroutines-goroutines0)/idleReaders)
	is.True(goroutines-goroutines0 <= 2*idleReaders+20) // two each
	is.True(each < 30_000 || raceDetector)
}

// rss returns the resident memory of a process in bytes.
func rss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rest, "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb * 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
