package rdev_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// parts are what a Service is made of; they outlive it in these tests as stores
// and pods outlive a server.
type parts struct {
	executor *exectest.Fake
	commands *rdev.MemoryCommands
	broker   *stream.Memory
	keys     *auth.Memory
}

func newParts(t *testing.T) *parts {
	t.Helper()
	p := &parts{
		executor: &exectest.Fake{
			Targets: []string{"app", "other"},
			Programs: map[string]exectest.Script{
				"hello": exectest.Lines("hello", "world"),
				"fail":  {Steps: []exectest.Step{{Stream: exec.Stderr, Text: "no"}}, ExitCode: 3},
				"sleep": {Steps: []exectest.Step{{Text: "begin\n"}, {Delay: time.Hour, Text: "end\n"}}},
				"lost":  {Steps: []exectest.Step{{Text: "before\n"}}, Err: exec.ErrLost},
				"crash": {Signal: "SIGSEGV"},
			},
		},
		commands: rdev.NewMemoryCommands(),
		broker:   stream.NewMemory(stream.MemoryConfig{}),
		keys:     auth.NewMemory(),
	}
	t.Cleanup(p.broker.Shutdown)
	return p
}

// open returns a Service over the parts, closed when the test ends.
func (p *parts) open(t *testing.T, edit ...func(*rdev.Config)) *rdev.Service {
	t.Helper()
	cfg := rdev.Config{
		Executor: p.executor, Commands: p.commands, Broker: p.broker, Keys: p.keys,
		Projects: rdev.FixedProjects(rdev.Project{Name: "app"}, rdev.Project{Name: "other"}, rdev.Project{Name: "empty"}),
		OnError:  func(err error) { t.Log(err) },
	}
	for _, f := range edit {
		f(&cfg)
	}
	s, err := rdev.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s *rdev.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func shell(argv ...string) rdev.Request {
	return rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Argv: argv}}}
}

func run(t *testing.T, s *rdev.Service, req rdev.Request) rdev.Command {
	t.Helper()
	cmd, created, err := s.Run(t.Context(), auth.Admin(), req)
	if err != nil || !created {
		t.Fatalf("run %+v: created %v, %v", req.Request, created, err)
	}
	return cmd
}

// follow reads a command's stream to its end and holds the numbers dense.
func follow(t *testing.T, s *rdev.Service, id string, after uint64) (output string, terminal stream.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sub, _, err := s.Subscribe(ctx, auth.Admin(), "app", id, after)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for seq := after + 1; ; {
		events, err := sub.Next(ctx)
		if err == io.EOF {
			return output, terminal
		}
		if err != nil {
			t.Fatalf("after %d: %v", seq-1, err)
		}
		for _, e := range events {
			if e.Seq != seq || terminal.Seq != 0 {
				t.Fatalf("got %+v, want number %d, and nothing after a terminal event", e, seq)
			}
			seq++
			if e.Kind.Terminal() {
				terminal = e
				continue
			}
			line, err := rdev.DecodeOutput(e)
			if err != nil {
				t.Fatal(err)
			}
			output += string(line.Data)
			if !line.Partial {
				output += "\n"
			}
		}
	}
}

func get(t *testing.T, s *rdev.Service, id string) rdev.Command {
	t.Helper()
	cmd, err := s.Get(t.Context(), auth.Admin(), "app", id)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		program, output, terminal string
		state                     rdev.State
		code                      rdev.Code
	}{
		{"hello", "hello\nworld\n", `"exit_code":0`, rdev.StateSucceeded, ""},
		{"fail", "no", `"exit_code":3`, rdev.StateFailed, ""},
		{"crash", "", `"exit_code":-1`, rdev.StateFailed, ""},
		{"lost", "before\n", `"code":"COMMAND_LOST"`, rdev.StateLost, rdev.CodeCommandLost},
		{"absent", "", `"code":"COMMAND_NOT_FOUND"`, rdev.StateFailed, rdev.CodeCommandNotFound},
	} {
		t.Run(c.program, func(t *testing.T) {
			is := is.New(t)
			s := newParts(t).open(t)
			cmd := run(t, s, shell(c.program))
			is.True(!cmd.State.Terminal()) // Run does not wait
			output, terminal := follow(t, s, cmd.ID, 0)
			is.Equal(output, c.output)                                   // every byte
			is.True(strings.Contains(string(terminal.Data), c.terminal)) // the end, as it was
			// Whoever has seen the terminal event is never told another state.
			got := get(t, s, cmd.ID)
			is.Equal(got.State, c.state)
			is.Equal(got.Code, c.code)
			is.Equal(got.Result == nil, c.code != "") // a result only where an end was seen
			is.True(!got.EndedAt.IsZero() && !got.StartedAt.IsZero())
			is.Equal(got.Spec.Target.Instance, "fake") // recorded before the first attempt
		})
	}
}

func TestTargetThatIsNotThereFailsTheCommand(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	req := shell("hello")
	req.Project = "empty"
	cmd := run(t, s, req)
	for cmd.State != rdev.StateFailed { // its stream is another project's in follow
		var err error
		cmd, err = s.Get(t.Context(), auth.Admin(), "empty", cmd.ID)
		is.NoErr(err) // the record is there from the beginning
	}
	is.Equal(cmd.Code, rdev.CodePodNotFound)
}

func TestCancelEndsTheCommandAndIsIdempotent(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	cmd := run(t, s, shell("sleep"))
	for range 3 {
		_, err := s.Cancel(t.Context(), auth.Admin(), "app", cmd.ID)
		is.NoErr(err) // the first and every later one
	}
	_, terminal := follow(t, s, cmd.ID, 0)
	is.True(strings.Contains(string(terminal.Data), `"state":"canceled"`))
	got := get(t, s, cmd.ID)
	is.Equal(got.State, rdev.StateCanceled)
	is.True(!got.CancelRequestedAt.IsZero())
	ended, err := s.Cancel(t.Context(), auth.Admin(), "app", cmd.ID)
	is.NoErr(err)                    // nothing to do
	is.Equal(ended.State, got.State) // and nothing done
}

func TestTimeoutIsAStateOfItsOwn(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	req := shell("sleep")
	req.Timeout = 20 * time.Millisecond
	cmd := run(t, s, req)
	follow(t, s, cmd.ID, 0)
	is.Equal(get(t, s, cmd.ID).State, rdev.StateTimedOut)
}

func TestIdempotencyKeyReturnsTheFirstCommand(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	req := shell("hello")
	req.IdempotencyKey = "again"
	const callers = 16
	ids := make(chan string, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			cmd, _, err := s.Run(context.Background(), auth.Admin(), req)
			if err != nil {
				t.Error(err)
			}
			ids <- cmd.ID
		})
	}
	wg.Wait()
	first := <-ids
	for range callers - 1 {
		is.Equal(<-ids, first) // one command for all
	}
	req.Shell.Argv = []string{"fail"}
	_, _, err := s.Run(t.Context(), auth.Admin(), req)
	is.True(errors.Is(err, rdev.ErrIdempotencyConflict)) // another request
	page, err := s.List(t.Context(), auth.Admin(), rdev.ListOptions{Project: "app"})
	is.NoErr(err)
	is.Equal(len(page.Commands), 1) // refused requests leave nothing
}

func TestCloseCancelsOrLeavesRunning(t *testing.T) {
	t.Run("cancels", func(t *testing.T) {
		is := is.New(t)
		p := newParts(t)
		s := p.open(t)
		cmd := run(t, s, shell("sleep"))
		shut(t, s)
		_, _, err := s.Run(t.Context(), auth.Admin(), shell("hello"))
		is.True(errors.Is(err, rdev.ErrShuttingDown)) // no new ones
		is.Equal(get(t, s, cmd.ID).State, rdev.StateCanceled)
	})
	t.Run("leaves", func(t *testing.T) {
		is := is.New(t)
		p := newParts(t)
		s := p.open(t, func(c *rdev.Config) { c.LeaveRunning = true })
		cmd := run(t, s, shell("sleep"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		sub, _, err := s.Subscribe(ctx, auth.Admin(), "app", cmd.ID, 0)
		is.NoErr(err)
		_, err = sub.Next(ctx)
		is.NoErr(err) // it runs
		sub.Close()
		shut(t, s)
		is.Equal(get(t, s, cmd.ID).State, rdev.StateRunning) // nothing was told to end

		next := p.open(t) // goes on with it
		_, err = next.Cancel(t.Context(), auth.Admin(), "app", cmd.ID)
		is.NoErr(err)
		output, _ := follow(t, next, cmd.ID, 0)
		is.Equal(output, "begin\n") // once
		is.Equal(get(t, next, cmd.ID).State, rdev.StateCanceled)
	})
}

func TestFollowGivesEveryEventAndStopsAtAnError(t *testing.T) {
	is := is.New(t)
	s := newParts(t).open(t)
	cmd := run(t, s, shell("hello"))
	var kinds []stream.Kind
	err := s.Follow(t.Context(), auth.Admin(), "app", cmd.ID, 0, func(e stream.Event) error {
		kinds = append(kinds, e.Kind)
		return nil
	})
	is.NoErr(err) // the end is no error
	is.Equal(kinds, []stream.Kind{stream.Output, stream.Output, stream.Complete})
	enough := errors.New("enough")
	err = s.Follow(t.Context(), auth.Admin(), "app", cmd.ID, 1, func(e stream.Event) error {
		is.Equal(e.Seq, uint64(2)) // behind the line that it has
		return enough
	})
	is.Equal(err, enough) // as it is
}
