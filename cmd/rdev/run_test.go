package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/internal/faultproxy"
)

// A program is a server in this process, and the command line that talks to it.
type program struct {
	t      *testing.T
	dir    string
	getenv func(string) string
}

// A buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serving starts `rdev serve`, which ends with the test without leaving a
// goroutine behind.
func serving(t *testing.T, args ...string) *program {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })

	dir := t.TempDir()
	p := &program{t: t, dir: dir, getenv: vars("HOME", dir, "RDEV_DATA_DIR", dir, "RDEV_ADDR", "127.0.0.1:0", "RDEV_PROJECTS", "here="+dir)}
	ctx, stop := context.WithCancel(context.Background())
	var said buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve"}, args...), p.getenv, strings.NewReader(""), io.Discard, &said)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("serve ended with %d:\n%s", code, said.String())
		}
	})
	for deadline := time.Now().Add(patience); endpoint(dir) == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", said.String())
		}
	}
	return p
}

// call runs the command line.
func (p *program) call(getenv func(string) string, args ...string) (code int, stdout, stderr []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, err bytes.Buffer
	code = run(ctx, args, getenv, strings.NewReader(""), &out, &err)
	return code, out.Bytes(), err.Bytes()
}

func TestRunInProcess(t *testing.T) {
	t.Run("TheExitCodeAndBothOutputsAreTheCommands", func(t *testing.T) {
		is := is.New(t)
		p := serving(t, "--policy", "permissive")
		code, stdout, stderr := p.call(p.getenv, "run", "here", "--", "sh", "-c", `printf 'out\r'; printf 'err\0' >&2; exit 42`)
		is.Equal(code, 42)
		is.Equal(string(stdout), "out\r")
		is.Equal(string(stderr), "err\x00")
	})
	t.Run("AConnectionThatIsCutAgainAndAgainLosesNothing", func(t *testing.T) {
		is := is.New(t)
		p := serving(t)
		blob := make([]byte, 3<<20)
		for i := range blob {
			blob[i] = byte(i*i>>8 ^ i) // bytes of all kinds, in no short cycle
		}
		is.NoErr(os.WriteFile(filepath.Join(p.dir, "blob"), blob, 0o600))

		target := strings.TrimPrefix(endpoint(p.dir), "http://")
		proxy := faultproxy.New(t, target, func(n int) faultproxy.Fault {
			if n < 8 {
				return faultproxy.Fault{CutAfter: int64(n+1) * 100_000}
			}
			return faultproxy.Fault{}
		})
		through := func(name string) string {
			switch name {
			case "RDEV_SERVER":
				return "http://" + proxy.Addr()
			case "RDEV_API_KEY_FILE":
				return localKeyPath(p.dir)
			}
			return p.getenv(name)
		}
		code, stdout, stderr := p.call(through, "run", "--", "cat", "blob")
		is.Equal(code, 0)
		is.True(bytes.Equal(stdout, blob)) // every byte, once
		is.True(proxy.Cuts() > 0)
		is.Equal(strings.Count(string(stderr), "connecting again, nothing is lost"), 1)
		is.Equal(strings.Count(string(stderr), "\n"), 1)
	})
	t.Run("OutputThatCannotBeWrittenIsSaidAndCanBeReadLater", func(t *testing.T) {
		is := is.New(t)
		p := serving(t)
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"run", "--", "echo", "hi"}, p.getenv, strings.NewReader(""), fullDisk{}, &stderr)
		is.Equal(code, exitRdev)
		is.True(strings.Contains(stderr.String(), "no space left"))
		is.True(strings.Contains(stderr.String(), "rdev logs -f cmd-"))
	})
	t.Run("HelpNamesEveryCommandAndExitCode", func(t *testing.T) {
		is := is.New(t)
		var stdout, stderr bytes.Buffer
		is.Equal(run(t.Context(), nil, vars(), strings.NewReader(""), &stdout, &stderr), 0)
		for _, want := range []string{"serve", "run", "git", "claude", "ps", "logs", "cancel", "projects", "keys", "doctor", "version", "completion", "124", "125", "126", "127", "130"} {
			is.True(strings.Contains(stdout.String(), want))
		}
		is.Equal(stderr.String(), "")
	})
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
