package exectest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	rdevexec "github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
)

// TestSuiteFindsFaults runs the suite against executors with one fault each,
// in a process of its own, and wants the subtest that is there for it to fail.
func TestSuiteFindsFaults(t *testing.T) {
	if name := os.Getenv("EXECTEST_FAULT"); name != "" {
		exectest.Run(t, func(t *testing.T) exectest.Subject {
			fake := &exectest.Fake{Targets: []string{"here"}, Func: interpret}
			return exectest.Subject{
				Executor:    faulty{Fake: fake, fault: faults()[name].fault, state: &faultState{}},
				Target:      rdevexec.Target{Name: "here"},
				Patience:    3 * time.Second,
				NoProcesses: true,
			}
		})
		return
	}
	if testing.Short() {
		t.Skip("runs the suite many times")
	}
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSuiteFindsFaults$/"+fault.caught, "-test.v", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), "EXECTEST_FAULT="+name)
			out, err := cmd.CombinedOutput()
			group, subtest, _ := strings.Cut(fault.caught, "/")
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestSuiteFindsFaults/"+group+"/"+subtest) {
				t.Errorf("%s does not find it: %v\n%.2000s", fault.caught, err, out)
			}
		})
	}
}

// A fault changes what a sound executor does.
type fault func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error)

type faulty struct {
	*exectest.Fake
	fault fault
	state *faultState
}

type faultState struct {
	mu sync.Mutex
	n  int
}

func (s *faultState) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n
}

func (f faulty) Execute(ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
	return f.fault(f, ctx, cmd, sink)
}

type knownFault struct {
	caught string // by this subtest
	fault  fault
}

func faults() map[string]knownFault {
	// lines makes a fault of a change to the lines on their way.
	lines := func(change func([]rdevexec.Line) []rdevexec.Line) fault {
		return func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			return f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error { return sink(change(batch)) })
		}
	}
	// result makes a fault of a change to the outcome.
	result := func(change func(*rdevexec.Result, *error)) fault {
		return func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			r, err := f.Fake.Execute(ctx, cmd, sink)
			change(&r, &err)
			return r, err
		}
	}
	return map[string]knownFault{
		"InventsExitCodeZero": {"Outcome/ReportsTheExitCode", result(func(r *rdevexec.Result, _ *error) { r.ExitCode = 0 })},
		"HidesAbsentPrograms": {"Refusal/AbsentProgramIsErrProgramNotFound", result(func(r *rdevexec.Result, err *error) {
			if errors.Is(*err, rdevexec.ErrProgramNotFound) {
				r.ExitCode, *err = 127, nil
			}
		})},
		"CallsCancelledAnError": {"End/ContextEndCancelsAndWaits", result(func(r *rdevexec.Result, err *error) {
			if r.Reason == rdevexec.Canceled {
				*err = context.Canceled
			}
		})},
		"CallsTimeoutCancelled": {"End/TimeoutEndsTheCommand", result(func(r *rdevexec.Result, _ *error) {
			if r.Reason == rdevexec.TimedOut {
				r.Reason = rdevexec.Canceled
			}
		})},
		"DropsCR": {"Output/SplitsAtNewlineAlone", lines(func(batch []rdevexec.Line) []rdevexec.Line {
			for i := range batch {
				batch[i].Data = []byte(strings.TrimSuffix(string(batch[i].Data), "\r"))
			}
			return batch
		})},
		"DecodesBytes": {"Output/BytesAreKept", lines(func(batch []rdevexec.Line) []rdevexec.Line {
			for i := range batch {
				batch[i].Data = []byte(strings.ToValidUTF8(string(batch[i].Data), "\ufffd"))
			}
			return batch
		})},
		"LosesLines": {"Output/MuchOutputArrivesWhole", lines(func(batch []rdevexec.Line) []rdevexec.Line {
			if len(batch) > 1 {
				return batch[1:]
			}
			return batch
		})},
		"MixesStreams": {"Output/StreamsAreKeptApart", lines(func(batch []rdevexec.Line) []rdevexec.Line {
			for i := range batch {
				batch[i].Stream = rdevexec.Stdout
			}
			return batch
		})},
		"NumbersPerReader": {"Following/FollowsAfterTheGivenLine", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			after := cmd.After
			return f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error {
				for i := range batch {
					batch[i].Seq -= after
				}
				return sink(batch)
			})
		}},
		"IgnoresAfter": {"Following/FollowsAfterTheGivenLine", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			cmd.After = 0
			return f.Fake.Execute(ctx, cmd, sink)
		}},
		"RunsTwice": {"Identity/SameIDNeverRunsTwice", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			cmd.ID += strings.Repeat("x", f.state.next())
			return f.Fake.Execute(ctx, cmd, sink)
		}},
		"StartsWhatHasLines": {"Identity/WhatHasLinesIsNotStarted", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			after := cmd.After
			cmd.After = 0
			return f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error {
				for len(batch) > 0 && batch[0].Seq <= after {
					batch = batch[1:]
				}
				if len(batch) == 0 {
					return nil
				}
				return sink(batch)
			})
		}},
		"TakesResumeForAnotherCommand": {"Identity/ResumeIsNoPartOfTheSpecification", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			if cmd.Resume {
				cmd.ID += "x"
			}
			return f.Fake.Execute(ctx, cmd, sink)
		}},
		"KnowsNoConflict": {"Identity/AnotherSpecificationIsAConflict", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			r, err := f.Fake.Execute(ctx, cmd, sink)
			if errors.Is(err, rdevexec.ErrConflict) {
				return rdevexec.Result{Reason: rdevexec.Exited}, nil
			}
			return r, err
		}},
		"HoldsBackUntilTheEnd": {"Output/LinesComeWhileTheCommandRuns", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			var all []rdevexec.Line
			r, err := f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error { all = append(all, batch...); return nil })
			if len(all) > 0 {
				_ = sink(all)
			}
			return r, err
		}},
		"IgnoresSinkErrors": {"Sink/SinkErrorCancels", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			return f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error { _ = sink(batch); return nil })
		}},
		"CallsTheSinkLate": {"Sink/NoCallAfterReturn", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			r, err := f.Fake.Execute(ctx, cmd, sink)
			time.AfterFunc(50*time.Millisecond, func() { _ = sink([]rdevexec.Line{{Seq: 1 << 40, Stream: rdevexec.Stdout, Time: time.Now()}}) })
			return r, err
		}},
		"ReadersWaitForEachOther": {"Sink/SlowSinkHoldsNobodyUp", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			return f.Fake.Execute(ctx, cmd, func(batch []rdevexec.Line) error {
				f.state.mu.Lock()
				defer f.state.mu.Unlock()
				return sink(batch)
			})
		}},
		"CancelsOnDetach": {"Following/DetachedCommandKeepsRunning", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			r, err := f.Fake.Execute(ctx, cmd, sink)
			if errors.Is(err, rdevexec.ErrDetached) {
				_ = f.Cancel(context.Background(), cmd.Target, cmd.ID)
			}
			return r, err
		}},
		"LeavesItRunningOnContextEnd": {"End/ContextEndCancelsAndWaits", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			detached, detach := context.WithCancelCause(context.Background())
			defer context.AfterFunc(ctx, func() { detach(rdevexec.ErrDetached) })()
			return f.Fake.Execute(detached, cmd, sink)
		}},
		"KeepsAllOutput": {"Output/OutputPastTheCapIsCountedAndDropped", func(f faulty, ctx context.Context, cmd rdevexec.Command, sink func([]rdevexec.Line) error) (rdevexec.Result, error) {
			cmd.MaxOutput = -1
			return f.Fake.Execute(ctx, cmd, sink)
		}},
	}
}
