package rdev_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// A road leads to an executor, or does not: then it answers with its error, in
// its time, as an executor that cannot reach a target does.
type road struct {
	exec.Executor
	blocked atomic.Pointer[error]
	asked   atomic.Int64
	resumed atomic.Int64 // of asked, with Command.Resume
}

func (r *road) block(err error) { r.blocked.Store(&err) }
func (r *road) open()           { r.blocked.Store(nil) }

func (r *road) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	r.asked.Add(1)
	if cmd.Resume {
		r.resumed.Add(1)
	}
	if err := r.blocked.Load(); err != nil {
		time.Sleep(20 * time.Second)
		return exec.Result{}, errors.Join(*err, context.Cause(ctx))
	}
	return r.Executor.Execute(ctx, cmd, sink)
}

func (r *road) Locate(ctx context.Context, name string) (exec.Target, error) {
	return r.Executor.(exec.Locator).Locate(ctx, name)
}

// leftRunning returns a command that a Service has left running.
func leftRunning(t *testing.T, p *parts, program string) rdev.Command {
	t.Helper()
	s := p.open(t, func(c *rdev.Config) { c.LeaveRunning = true })
	cmd := run(t, s, shell(program))
	t.Cleanup(func() { _ = p.executor.Cancel(context.Background(), cmd.Spec.Target, cmd.ID) })
	synctest.Wait()
	shut(t, s)
	return cmd
}

// over is a road to the executor of the parts for another Service.
func over(p *parts, blocked error) (*road, func(*rdev.Config)) {
	r := &road{Executor: p.executor}
	if blocked != nil {
		r.block(blocked)
	}
	return r, func(c *rdev.Config) { c.Executor, c.LeaveRunning = r, true }
}

// runsUnheard wants a command to be running with nothing said of its end.
func runsUnheard(t *testing.T, p *parts, id string) {
	t.Helper()
	synctest.Wait()
	cmd, err := p.commands.Get(t.Context(), id)
	if err != nil || cmd.State != rdev.StateRunning {
		t.Errorf("the command is %s (%s %q), %v; want it to be running", cmd.State, cmd.Code, cmd.Message, err)
	}
	sub, err := p.broker.Subscribe(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if sub.Head().Terminal {
		t.Error("its stream has ended")
	}
}

// TestATakenOverCommandWaitsForItsTarget: an attempt that reached nothing says
// nothing of a command that another one may have started.
func TestATakenOverCommandWaitsForItsTarget(t *testing.T) {
	for _, unreached := range []error{exec.ErrNotStarted, exec.ErrTargetNotReady, exec.ErrTargetNotFound} {
		t.Run(unreached.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				p := newParts(t)
				p.executor.Programs["slow"] = exectest.Script{Steps: []exectest.Step{{Text: "begin\n"}, {Delay: 30 * time.Minute, Text: "end\n"}}, ExitCode: 7}
				cmd := leftRunning(t, p, "slow")
				r, edit := over(p, unreached)
				next := p.open(t, edit)
				time.Sleep(10 * time.Minute)
				runsUnheard(t, p, cmd.ID)
				is.True(r.asked.Load() > 5)
				r.open()
				time.Sleep(time.Hour)
				output, _ := follow(t, next, cmd.ID, 0)
				is.Equal(output, "begin\nend\n")
				is.Equal(get(t, next, cmd.ID).Result.ExitCode, 7) // the truth
				is.Equal(r.resumed.Load(), r.asked.Load())
			})
		})
	}
}

func TestAWishToCancelWaitsForTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		p := newParts(t)
		cmd := leftRunning(t, p, "sleep")
		_, edit := over(p, exec.ErrNotStarted)
		next := p.open(t, edit)
		cancelled(t, next, cmd.ID)
		time.Sleep(10 * time.Minute)
		runsUnheard(t, p, cmd.ID)
		shut(t, next) // which leaves the wish to the next
		runsUnheard(t, p, cmd.ID)

		r, edit := over(p, exec.ErrNotStarted)
		next = p.open(t, edit)
		time.Sleep(10 * time.Minute)
		runsUnheard(t, p, cmd.ID)
		r.open()
		follow(t, next, cmd.ID, 0)
		got := get(t, next, cmd.ID)
		is.Equal(got.State, rdev.StateCanceled)
		is.True(got.Result != nil) // its end was seen
	})
}

func TestCloseDoesNotWaitForATargetForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		p := newParts(t)
		cmd := leftRunning(t, p, "sleep")
		_, edit := over(p, exec.ErrNotStarted)
		next := p.open(t, edit, func(c *rdev.Config) { c.LeaveRunning = false })
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		is.True(errors.Is(next.Close(ctx), context.DeadlineExceeded)) // it could not be cancelled
		time.Sleep(time.Minute)
		runsUnheard(t, p, cmd.ID)
	})
}

// A gone target is known to be gone, and other answers are known not to be the
// command's end.
func TestATakenOverCommandIsLostAndNotFailed(t *testing.T) {
	for name, answer := range map[string]error{
		"gone": exec.ErrLost, "unknown": exec.ErrOutcomeUnknown, "conflict": exec.ErrConflict,
		"broken": errors.New("broken"), "context": context.Canceled,
	} {
		for _, cancel := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " cancel=", cancel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					p := newParts(t)
					cmd := leftRunning(t, p, "sleep")
					_, edit := over(p, answer)
					next := p.open(t, edit)
					if cancel {
						cancelled(t, next, cmd.ID)
					}
					follow(t, next, cmd.ID, 0)
					got := get(t, next, cmd.ID)
					is.Equal(got.State, rdev.StateLost)
					is.True(got.Result == nil)
				})
			})
		}
	}
}

// leases are MemoryCommands that a Service has on lease.
type leases struct {
	*rdev.MemoryCommands
	mu    sync.Mutex
	free  []rdev.Command
	taken bool // by another Service
}

func (l *leases) TTL() time.Duration { return time.Minute }

func (l *leases) Claim(context.Context, string, int) ([]rdev.Command, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.free
	l.free = nil
	return free, nil
}

func (l *leases) Renew(_ context.Context, _ string, ids []string) (held []rdev.Lease, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if !l.taken {
			held = append(held, rdev.Lease{CommandID: id})
		}
	}
	return held, nil
}

func (l *leases) Release(context.Context, string, []string) error { return nil }

func TestALostLeaseEndsTheWait(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		t.Run(fmt.Sprint("cancel=", cancel), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				p := newParts(t)
				cmd := leftRunning(t, p, "sleep")
				l := &leases{MemoryCommands: p.commands, free: []rdev.Command{cmd}}
				r, edit := over(p, exec.ErrNotStarted)
				next := p.open(t, edit, func(c *rdev.Config) { c.Commands = l })
				synctest.Wait()
				if cancel {
					cancelled(t, next, cmd.ID)
				}
				l.mu.Lock()
				l.taken = true
				l.mu.Unlock()
				time.Sleep(2 * l.TTL())
				asked := r.asked.Load()
				time.Sleep(10 * time.Minute)
				is.Equal(r.asked.Load(), asked) // it is the other's
				runsUnheard(t, p, cmd.ID)
			})
		})
	}
}

// A forgetful executor keeps nothing beyond its process, as exec/kube's direct
// mode, and starts what it does not know.
type forgetful struct {
	exectest.Fake
	starts atomic.Int32
	known  atomic.Bool
}

func (f *forgetful) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if !f.known.Load() && (cmd.After > 0 || cmd.Resume) {
		return exec.Result{}, fmt.Errorf("%w: it is not known here", exec.ErrOutcomeUnknown)
	}
	if !f.known.Swap(true) {
		f.starts.Add(1)
	}
	return f.Fake.Execute(ctx, cmd, sink)
}

// TestATakenOverCommandIsNotStartedAgain, whether it has printed anything or
// not: few lines are all read again for the masking.
func TestATakenOverCommandIsNotStartedAgain(t *testing.T) {
	for name, text := range map[string]string{"quiet": "", "few lines": "deploying\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				p := newParts(t)
				machine := func() *forgetful {
					f := &forgetful{}
					f.Targets = []string{"app"}
					f.Programs = map[string]exectest.Script{"deploy": {Steps: []exectest.Step{{Text: text}, {Delay: time.Hour}}}}
					return f
				}
				first, second := machine(), machine()
				s := p.open(t, func(c *rdev.Config) { c.Executor, c.LeaveRunning = first, true })
				cmd := run(t, s, shell("deploy"))
				synctest.Wait()
				is.Equal(first.starts.Load(), int32(1)) // a new one is started
				shut(t, s)
				next := p.open(t, func(c *rdev.Config) { c.Executor = second })
				output, _ := follow(t, next, cmd.ID, 0)
				is.Equal(output, text)
				is.Equal(second.starts.Load(), int32(0))
				is.Equal(get(t, next, cmd.ID).State, rdev.StateLost)
				is.NoErr(first.Cancel(t.Context(), cmd.Spec.Target, cmd.ID))
			})
		})
	}
}

// TestARecordThatWasRunningIsResumed: what a Service reads of a command that
// waits may be old when it begins.
func TestARecordThatWasRunningIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		p := newParts(t)
		cmd := leftRunning(t, p, "sleep")
		old := cmd
		old.State, old.StartedAt = rdev.StateQueued, time.Time{}
		r, edit := over(p, nil)
		next := p.open(t, edit, func(c *rdev.Config) {
			c.Commands = &leases{MemoryCommands: p.commands, free: []rdev.Command{old}}
		})
		synctest.Wait()
		is.Equal(r.resumed.Load(), int64(1))
		is.Equal(r.asked.Load(), int64(1))
		is.True(get(t, next, cmd.ID).StartedAt.Equal(cmd.StartedAt)) // as the first owner had it
	})
}

// TestAQueuedCommandWhoseStreamHasEndedDoesNotRun: the process was killed after
// it had told readers of the end, and before it was recorded.
func TestAQueuedCommandWhoseStreamHasEndedDoesNotRun(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	s := p.open(t, limited(1, 0), func(c *rdev.Config) { c.LeaveRunning = true })
	running := runAs(t, s, key("a"), shell("sleep"))
	cmd := runAs(t, s, key("a"), waiting("hello", time.Minute))
	shut(t, s)
	data, err := json.Marshal(map[string]string{"code": "CANCELED", "message": "the command was cancelled before it started", "state": "canceled"})
	is.NoErr(err)
	is.NoErr(p.broker.Publish(t.Context(), cmd.ID, []stream.Event{{Seq: 1, Kind: stream.Failed, Data: data}}))

	r, edit := over(p, nil)
	next := p.open(t, limited(1, 0), edit)
	stateIs(t, next, cmd.ID, rdev.StateCanceled) // as readers were told
	cancelled(t, next, running.ID)
	follow(t, next, running.ID, 0)
	got := get(t, next, cmd.ID)
	is.Equal(got.State, rdev.StateCanceled)
	is.Equal(got.Code, rdev.CodeCanceled)
	is.True(got.StartedAt.IsZero())
	is.Equal(r.asked.Load(), int64(1)) // the other one's
	_, terminal := follow(t, next, cmd.ID, 0)
	is.Equal(string(terminal.Data), string(data))
}
