package kube_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/kubetest"
	"github.com/orchard9/rdev/server/client"
)

// TestTheServerIsKilled: `rdev serve` is killed with -9 twice in the middle of a
// command, and started again. Its client sees every line once and the right exit
// code, and the command has run once.
func TestTheServerIsKilled(t *testing.T) {
	is := is.New(t)
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	pod := runPod(t, namespace, "web", nil)
	s := newProgram(t, c.Kubeconfig(), namespace)
	s.start(t)
	reconnects := 0
	web, err := client.New("http://"+s.addr, serverKey, &client.Options{
		ReconnectTimeout: patience, OnReconnect: func(error) { reconnects++ },
	})
	is.NoErr(err)
	defer web.Close()
	s.await(t, web)

	// It prints while the server is there, while it is killed and while it is
	// not there.
	const parts, size = 16, 5000
	script := fmt.Sprintf("echo ran >>ran; i=0; while [ $i -lt %d ]; do seq $((i*%d+1)) $((i*%d+%d)); i=$((i+1)); sleep 0.5; done; exit 3", parts, size, size, size)
	cmd, err := web.RunShell(limited(t), "web", client.Shell{Argv: []string{"sh", "-c", script}}, nil)
	is.NoErr(err)
	var text bytes.Buffer
	lines, kills := 0, 0
	end, err := web.Follow(limited(t), "web", cmd.ID, 0, func(events []client.Event) error {
		for _, e := range events {
			if e.Gap != nil {
				return fmt.Errorf("a gap: %+v", *e.Gap)
			}
			text.Write(e.Raw())
			if !e.Partial {
				lines++
			}
		}
		if lines > size*(1+4*kills) && kills < 2 {
			kills++
			s.kill(t)
			s.start(t)
		}
		return nil
	})
	is.NoErr(err)
	is.Equal(kills, 2)
	is.True(reconnects >= kills)
	is.True(end.ExitCode != nil)
	is.Equal(*end.ExitCode, 3)
	is.Equal(end.State, client.Failed)
	is.True(text.String() == numbers(parts*size))

	out, err := c.Exec(limited(t), pod, "cat", "/workspace/ran")
	is.NoErr(err)
	is.Equal(string(out.Stdout), "ran\n")
	// Who comes later is told the same.
	again, err := web.Command(limited(t), "web", cmd.ID)
	is.NoErr(err)
	is.Equal(again.State, client.Failed)
	is.Equal(again.Result.ExitCode, 3)
}

// numbers is what `seq n` prints.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

const serverKey = "admin-key-of-a-test-and-of-no-use-elsewhere"

// A program is a server as people run it: a process of the program, with its
// folder.
type program struct {
	path, addr string
	env        []string
	cmd        *osexec.Cmd
	log        bytes.Buffer // of the last process
}

func newProgram(t *testing.T, kubeconfig, namespace string) *program {
	t.Helper()
	s := &program{path: filepath.Join(t.TempDir(), "rdev")}
	if out, err := osexec.CommandContext(t.Context(), "go", "build", "-o", s.path, "../../cmd/rdev").CombinedOutput(); err != nil {
		t.Fatalf("build rdev: %v\n%s", err, out)
	}
	// Its clients come back to the same address.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	listener.Close()
	home := t.TempDir()
	s.env = append(withoutRdev(os.Environ()), "HOME="+home, "RDEV_ADDR="+s.addr, "RDEV_DATA_DIR="+filepath.Join(home, "data"),
		"RDEV_EXECUTOR=kubernetes", "RDEV_KUBECONFIG="+kubeconfig, "RDEV_NAMESPACE="+namespace,
		"RDEV_ADMIN_KEY="+serverKey, "RDEV_POLICY=permissive")
	t.Cleanup(func() {
		s.kill(t)
		if t.Failed() {
			t.Logf("the last server said:\n%s", s.log.String())
		}
	})
	return s
}

func withoutRdev(environ []string) []string {
	var env []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "RDEV_") {
			env = append(env, kv)
		}
	}
	return env
}

func (s *program) start(t *testing.T) {
	t.Helper()
	s.log.Reset()
	s.cmd = osexec.Command(s.path, "serve")
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.env, &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill is kill -9, of a server that runs.
func (s *program) kill(t *testing.T) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	err := s.cmd.Wait()
	var exit *osexec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("rdev ended by itself: %v\n%s", err, s.log.String())
	}
	s.cmd = nil
}

// await waits until commands can run.
func (s *program) await(t *testing.T, web *client.Client) {
	t.Helper()
	eventually(t, "the server has the project", func() bool {
		project, err := web.Project(t.Context(), "web")
		return err == nil && project.Status == "running"
	})
}
