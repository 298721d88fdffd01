package walktest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience covers compiling everything on a loaded machine.
const patience = 10 * time.Minute

// root is the folder of the SDK's module.
const root = "../.."

// program finds a program, also where Debian puts those of the administrator.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing; install it: apt-get install %s", name, pkg)
	return ""
}

// environment is that of a user whose home is a new folder. Go's caches are those
// of this process, so that a walk does not fetch the world.
func environment(t *testing.T, home string, more ...string) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	must(t, err)
	goEnv := strings.Split(string(out), "\n")
	var env []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name != "HOME" && name != "PWD" && !strings.HasPrefix(name, "RDEV_") && !strings.HasPrefix(name, "XDG_") && !strings.HasPrefix(name, "GIT_") {
			env = append(env, variable)
		}
	}
	env = append(env, "HOME="+home, "NO_COLOR=1", "GOCACHE="+goEnv[0], "GOMODCACHE="+goEnv[1], "GOPATH="+goEnv[2],
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	return append(env, more...)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// background starts a program that runs until the test ends, when its whole group
// is asked to stop. ended is closed when it has ended.
func background(t *testing.T, dir string, env []string, name string, args ...string) (cmd *exec.Cmd, said *buffer, ended chan struct{}) {
	t.Helper()
	cmd, said, ended = exec.Command(name, args...), new(buffer), make(chan struct{})
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("%s did not stop within a minute", name)
		}
		if t.Failed() {
			t.Logf("%s %q said:\n%s", name, args, said.String())
		}
	})
	return cmd, said, ended
}

// answers waits until an address answers with 200, and returns the answer.
func answers(t *testing.T, url string, ended <-chan struct{}) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		status, text := get(t, url)
		if status == http.StatusOK {
			return text
		}
		select {
		case <-ended:
			t.Fatalf("the program that should answer at %s has ended", url)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d %s", url, status, text)
		}
	}
}

// get returns status 0 where nobody answers.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, text.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A buffer is a bytes.Buffer that may be read while it is written.
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
