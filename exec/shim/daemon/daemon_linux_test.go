package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build builds the static program as it is placed in pods.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rdev-shim")
	cmd := osexec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../cmd/rdev-shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// bridge is a connection through the stdin and stdout of `connect`, as one exec
// stream into a pod is.
type bridge struct {
	io.Reader
	io.WriteCloser
	cmd *osexec.Cmd
}

func (b bridge) Close() error {
	_ = b.WriteCloser.Close()
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	return nil
}

// newClient returns a client that reaches the daemon of dir through processes
// of the program.
func newClient(t testing.TB, program, dir string) *shim.Client {
	t.Helper()
	c, err := shim.NewClient(shim.ClientConfig{Dial: func(context.Context) (io.ReadWriteCloser, error) {
		cmd := osexec.Command(program, "connect", "--dir", dir)
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		return bridge{stdout, stdin, cmd}, cmd.Start()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return c
}

func command(id, script string) exec.Command {
	return exec.Command{ID: id, Target: exec.Target{Name: "here"}, Argv: []string{"sh", "-c", script}}
}

// memory returns a figure of /proc/<pid>/status in bytes.
func memory(t testing.TB, pid int, name string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(data)
	if found == nil {
		t.Fatalf("there is no %s", name)
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n << 10
}

func TestProgram(t *testing.T) {
	ctx := context.Background()
	program, dir, workspace := build(t), filepath.Join(t.TempDir(), "state"), t.TempDir()
	c := newClient(t, program, dir)

	t.Run("ConnectStartsTheDaemonAndBridgesToIt", func(t *testing.T) {
		is := is.New(t)
		lines := 0
		result, err := c.Execute(ctx, workspace, command("first", "seq 100000; exit 3"), func(batch []exec.Line) error {
			lines += len(batch)
			return nil
		})
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
		is.Equal(lines, 100_000)
	})

	t.Run("CommandsDoNotInheritFiles", func(t *testing.T) {
		is := is.New(t)
		text := ""
		_, err := c.Execute(ctx, workspace, command("files", `for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 250 251 252; do if [ -e /proc/$$/fd/$n ]; then printf "$n "; fi; done`), func(batch []exec.Line) error {
			for _, l := range batch {
				text += string(l.Data)
			}
			return nil
		})
		is.NoErr(err)
		is.Equal(text, "0 1 2 ")
	})

	t.Run("CommandsDoNotInheritIgnoredSignals", func(t *testing.T) {
		is := is.New(t)
		const script = `sed -n 's/SigIgn:[[:space:]]*/0x/p' /proc/self/status`
		direct, err := osexec.Command("sh", "-c", script).Output()
		is.NoErr(err)
		text := ""
		_, err = c.Execute(ctx, workspace, command("signals", script), func(batch []exec.Line) error {
			text += string(batch[0].Data)
			return nil
		})
		is.NoErr(err)
		got, err := strconv.ParseUint(text, 0, 64)
		is.NoErr(err)
		// What this test itself was told to ignore, by nohup for one, may go on.
		inherited, err := strconv.ParseUint(strings.TrimSpace(string(direct)), 0, 64)
		is.NoErr(err)
		is.Equal(got&^inherited, uint64(0))
	})

	t.Run("TenCommandsTakeLittleMemory", func(t *testing.T) {
		is := is.New(t)
		status, err := c.Status(ctx)
		is.NoErr(err)
		idle := memory(t, status.PID, "VmRSS")
		var work sync.WaitGroup
		var up sync.WaitGroup
		running, cancel := context.WithCancel(ctx)
		up.Add(10)
		for i := range 10 {
			work.Go(func() {
				// Each one talks all the time, and somebody listens.
				first := true
				_, err := c.Execute(running, workspace, command(fmt.Sprint("talk-", i), "while :; do seq 1000; sleep 0.01; done"), func([]exec.Line) error {
					if first {
						first = false
						up.Done()
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		up.Wait()
		most := 0
		for range 20 {
			time.Sleep(50 * time.Millisecond)
			most = max(most, memory(t, status.PID, "VmRSS"))
		}
		cancel()
		work.Wait()
		t.Logf("resident: %.1f MB after one command, %.1f MB with ten that talk, %.1f MB at most", mb(idle), mb(most), mb(memory(t, status.PID, "VmHWM")))
		is.True(most < 15<<20)
	})

	t.Run("AHundredAtOnceOverOneConnection", func(t *testing.T) {
		is := is.New(t)
		start := time.Now()
		errs := make(chan error, 100)
		for i := range cap(errs) {
			go func() {
				lines := 0
				result, err := c.Execute(ctx, workspace, command(fmt.Sprint("many-", i), fmt.Sprintf("seq 1000; sleep 0.2; seq 1000; exit %d", i)), func(batch []exec.Line) error {
					lines += len(batch)
					return nil
				})
				if err == nil && (result.ExitCode != i || lines != 2000) {
					err = fmt.Errorf("%d: %+v, %d lines", i, result, lines)
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			is.NoErr(<-errs)
		}
		status, err := c.Status(ctx)
		is.NoErr(err)
		is.Equal(status.Connections, 1)
		t.Logf("%v; resident: %.1f MB at most", time.Since(start).Round(time.Millisecond), mb(memory(t, status.PID, "VmHWM")))
	})

	t.Run("TheFolderAndTheSocketAreTheOwners", func(t *testing.T) {
		is := is.New(t)
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "socket"): 0o600} {
			info, err := os.Stat(path)
			is.NoErr(err)
			is.Equal(info.Mode().Perm(), want)
		}
	})

	t.Run("ASecondDaemonIsRefused", func(t *testing.T) {
		is := is.New(t)
		out, err := osexec.Command(program, "serve", "--dir", dir).CombinedOutput()
		is.True(err != nil)
		is.True(regexp.MustCompile(shim.ErrInUse.Error()).Match(out))
	})

	t.Run("SIGTERMEndsItWithItsCommands", func(t *testing.T) {
		is := is.New(t)
		status, err := c.Status(ctx)
		is.NoErr(err)
		p, err := os.FindProcess(status.PID)
		is.NoErr(err)
		result, err := c.Execute(ctx, workspace, command("term", "echo up; sleep 600"), func([]exec.Line) error {
			return errors.Join(p.Signal(os.Interrupt), p.Signal(syscall.SIGTERM))
		})
		is.NoErr(err)
		is.Equal(result.Reason, exec.Canceled)
	})
}

func mb(bytes int) float64 { return float64(bytes) / (1 << 20) }

func TestRunSaysWhatIsWrong(t *testing.T) {
	for _, args := range [][]string{{}, {"serve"}, {"dance", "--dir", "x"}, {"connect", "--dir", "x", "more"}} {
		is := is.New(t)
		p := daemon.Program{Self: []string{"x"}, Stdin: os.Stdin, Stdout: io.Discard, Stderr: io.Discard}
		is.True(p.Run(context.Background(), args) != nil)
	}
}
