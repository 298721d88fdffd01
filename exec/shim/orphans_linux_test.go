package shim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/internal/oddproc"
)

// subreaperVariable makes the test binary a subreaper that serves an engine on
// stdin and stdout.
const subreaperVariable = "SHIM_TEST_SUBREAPER"

// stdio is a connection over this process's stdin and stdout.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (stdio) Close() error                { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

func subreaper(dir string) int {
	err := shim.BecomeSubreaper()
	var e *shim.Engine
	if err == nil {
		e, err = shim.Open(dir, &shim.Options{Subreaper: true, OOMScore: 300})
	}
	if err == nil {
		err = shim.NewServer(e, nil).ServeConn(context.Background(), stdio{})
		_ = e.Close(context.Background())
	}
	if !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is the other end of stdio.
type process struct {
	io.Reader
	io.WriteCloser
}

func (p process) Close() error { return p.WriteCloser.Close() }

// newSubreaper returns a client of an engine in a process that is a subreaper,
// and the id of that process.
func newSubreaper(t testing.TB) (*shim.Client, int) {
	t.Helper()
	return startSubreaper(t, (*osexec.Cmd).Start)
}

// unprivileged starts a process that may look at and kill only what others of
// its user may, also where this one is root.
func unprivileged(cmd *osexec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this
		var err error
		if os.Getuid() == 0 {
			for _, right := range []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, unix.CAP_KILL} {
				err = errors.Join(err, unix.Prctl(unix.PR_CAPBSET_DROP, right, 0, 0, 0))
			}
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

func startSubreaper(t testing.TB, start func(*osexec.Cmd) error) (*shim.Client, int) {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), subreaperVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // also if nobody has dialed
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	dialed := false
	return newClient(t, shim.ClientConfig{Dial: func(context.Context) (io.ReadWriteCloser, error) {
		if dialed {
			return nil, exec.ErrLost
		}
		dialed = true
		return process{stdout, stdin}, nil
	}}), cmd.Process.Pid
}

// TestSubreaper: what a command has wiped all traces from is found, too.
func TestSubreaper(t *testing.T) {
	ctx := context.Background()
	c, pid := newSubreaper(t)
	workspace := t.TempDir()
	// Twice forked, in a session of its own, without environment, its parent
	// dead: only that it has come to the subreaper tells whose it is.
	escape := func(n int) string {
		return "(env -i setsid sh -c 'sleep " + mark(n) + " >/dev/null 2>&1 &' &) ; "
	}
	orphaned := func(n int) func() bool {
		return func() bool { return isOrphan(t, mark(n), pid) }
	}
	execute := func(cmd exec.Command) <-chan exec.Result {
		up, ended := make(chan struct{}), make(chan exec.Result, 1)
		go func() {
			result, err := c.Execute(ctx, workspace, cmd, func([]exec.Line) error {
				close(up)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			ended <- result
		}()
		<-up
		return ended
	}

	t.Run("ATracelessOrphanEndsWithItsCommand", func(t *testing.T) {
		is := is.New(t)
		ended := execute(shell("traceless", escape(30)+"echo up; sleep "+mark(31)))
		is.True(settles(orphaned(30)))
		is.NoErr(c.Cancel(ctx, "traceless"))
		is.Equal(marked(t, mark(30)), nil)
		is.Equal(len((<-ended).Survivors), 0)
	})

	t.Run("AnothersOrphanIsNotKilled", func(t *testing.T) {
		is := is.New(t)
		first := execute(shell("first", "echo up; sleep "+mark(32)))
		time.Sleep(50 * time.Millisecond) // the clock of process starts ticks 100 times a second
		second := execute(shell("second", escape(33)+"echo up; sleep "+mark(34)))
		is.True(settles(orphaned(33)))
		is.NoErr(c.Cancel(ctx, "first"))
		<-first
		is.True(len(marked(t, mark(33))) > 0) // it may be the other's
		is.NoErr(c.Cancel(ctx, "second"))
		<-second
		is.Equal(marked(t, mark(33)), nil)
	})

	t.Run("AnOrphanOfTwoThatEndAtOnceIsKilled", func(t *testing.T) {
		is := is.New(t)
		for i := range 5 {
			first := execute(shell(fmt.Sprint("one-", i), "echo up; sleep "+mark(35)))
			time.Sleep(50 * time.Millisecond)
			second := execute(shell(fmt.Sprint("two-", i), escape(36)+"echo up; sleep "+mark(37)))
			is.True(settles(orphaned(36)))
			cancelled := make(chan error, 1)
			go func() { cancelled <- c.Cancel(ctx, fmt.Sprint("one-", i)) }()
			is.NoErr(c.Cancel(ctx, fmt.Sprint("two-", i)))
			is.NoErr(<-cancelled)
			<-first
			<-second
			is.Equal(marked(t, mark(36)), nil)
		}
	})

	t.Run("OrphansAreReaped", func(t *testing.T) {
		is := is.New(t)
		_, err := c.Execute(ctx, workspace, shell("zombies", "for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.1' &); done; sleep 0.3"), discard)
		is.NoErr(err)
		is.True(settles(func() bool { return zombies(t, pid) == 0 }))
	})

	t.Run("ManyAtOnceKeepTheirOutcomes", func(t *testing.T) {
		is := is.New(t)
		errs := make(chan error, 8)
		for w := range cap(errs) {
			go func() {
				for i := range 50 {
					id := fmt.Sprintf("many-%d-%d", w, i)
					result, err := c.Execute(ctx, workspace, shell(id, fmt.Sprintf("(true &); (setsid true &); exit %d", i)), discard)
					if err != nil || result.ExitCode != i {
						errs <- fmt.Errorf("%s: %+v, %w", id, result, err)
						return
					}
				}
				errs <- nil
			}()
		}
		for range cap(errs) {
			is.NoErr(<-errs)
		}
	})

	t.Run("CommandsDieBeforeTheirSupervisor", func(t *testing.T) {
		is := is.New(t)
		own, err := os.ReadFile("/proc/self/oom_score_adj")
		is.NoErr(err)
		base, err := strconv.Atoi(strings.TrimSpace(string(own)))
		is.NoErr(err)
		var out output
		_, err = c.Execute(ctx, workspace, shell("oom", "sleep 0.2; cat /proc/self/oom_score_adj"), out.sink)
		is.NoErr(err)
		is.Equal(string(out.bytes(exec.Stdout)), fmt.Sprintln(min(base+300, 1000)))
	})
}

// TestSubreaperWithoutRights: an orphan whose environment may not be read,
// whatever it holds, is its command's because it has come to the subreaper.
func TestSubreaperWithoutRights(t *testing.T) {
	c, _ := startSubreaper(t, unprivileged)
	// The parent is dead before the orphan is there.
	const start = "(setsid $HELPER >/dev/null 2>&1 </dev/null &)"

	t.Run("AnOrphanThatHidesItsMemoryIsKilled", func(t *testing.T) {
		is := is.New(t)
		h := newHelper(t)
		result, err := c.Execute(context.Background(), t.TempDir(), h.shell("agent", "undumpable", start, "exit 4"), discard)
		is.NoErr(err)
		is.Equal(result.ExitCode, 4)
		is.Equal(len(result.Survivors), 0)
		is.True(!oddproc.LivesOn(h.pid()))
	})

	t.Run("AnOrphanOfAnotherUserIsASurvivor", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Fatal("this test runs a process as another user and needs root")
		}
		is := is.New(t)
		h := newHelper(t)
		result, err := c.Execute(context.Background(), t.TempDir(), h.shell("other", "nobody", start, "exit 5"), discard)
		is.NoErr(err)
		is.Equal(result.ExitCode, 5)
		is.Equal(result.Survivors, []int{h.pid()})
	})
}

// zombies counts the dead children of a process.
func zombies(t testing.TB, parent int) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range paths {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), ") ")
		if strings.HasPrefix(rest, "Z "+strconv.Itoa(parent)+" ") {
			count++
		}
	}
	return count
}

// isOrphan reports that the sleep with that mark is the child of a process.
func isOrphan(t testing.TB, mark string, parent int) bool {
	t.Helper()
	for _, found := range marked(t, mark) {
		pid, args, _ := strings.Cut(found, " ")
		data, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(data), ") ")
		if strings.HasPrefix(args, "sleep") && strings.HasPrefix(rest, "S "+strconv.Itoa(parent)+" ") {
			return true
		}
	}
	return false
}
