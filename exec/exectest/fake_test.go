package exectest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
)

func TestFake(t *testing.T) {
	exectest.Run(t, func(t *testing.T) exectest.Subject {
		return exectest.Subject{
			Executor:    &exectest.Fake{Targets: []string{"here"}, Func: interpret},
			Target:      exec.Target{Name: "here"},
			NoProcesses: true,
		}
	})
}

func TestFakeErrors(t *testing.T) {
	fake := &exectest.Fake{Programs: map[string]exectest.Script{
		"lost":     {Steps: []exectest.Step{{Text: "a\n"}}, Err: exec.ErrLost},
		"busy":     {Steps: []exectest.Step{{Text: "never\n"}}, Err: exec.ErrTargetNotReady},
		"crash":    {Signal: "SIGSEGV"},
		"stubborn": {Steps: []exectest.Step{{Delay: time.Hour}}, IgnoreTerm: true},
	}}
	run := func(program string, cmd exec.Command) (exec.Result, string, error) {
		cmd.ID, cmd.Target, cmd.Argv = program, exec.Target{Name: "any"}, []string{program}
		text := ""
		result, err := fake.Execute(context.Background(), cmd, func(lines []exec.Line) error {
			for _, line := range lines {
				text += string(line.Data) + ";"
			}
			return nil
		})
		return result, text, err
	}
	if _, text, err := run("lost", exec.Command{}); !errors.Is(err, exec.ErrLost) || text != "a;" {
		t.Errorf("lost: %q, %v", text, err)
	}
	if _, text, err := run("busy", exec.Command{}); !errors.Is(err, exec.ErrTargetNotReady) || text != "" {
		t.Errorf("busy: %q, %v", text, err)
	}
	if _, _, err := run("absent", exec.Command{}); !errors.Is(err, exec.ErrProgramNotFound) {
		t.Errorf("absent: %v", err)
	}
	if result, _, err := run("crash", exec.Command{}); err != nil || result.ExitCode != -1 || result.Signal != "SIGSEGV" {
		t.Errorf("crash: %+v, %v", result, err)
	}
	// An hour of the script and the whole grace period pass at once.
	synctest.Test(t, func(t *testing.T) {
		fake = &exectest.Fake{Programs: fake.Programs}
		started := time.Now()
		result, _, err := run("stubborn", exec.Command{Timeout: time.Minute, Grace: time.Minute})
		if err != nil || result.Reason != exec.TimedOut || result.Signal != "SIGKILL" || time.Since(started) != 2*time.Minute {
			t.Errorf("stubborn: %+v, %v after %v", result, err, time.Since(started))
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	go func() {
		_, _ = fake.Execute(context.Background(), exec.Command{
			ID: "slow", Target: exec.Target{Name: "any"}, Argv: []string{"stubborn"}, Grace: time.Second,
		}, nil)
	}()
	for fake.Cancel(ctx, exec.Target{Name: "any"}, "slow") == nil {
		time.Sleep(time.Millisecond) // not started yet
	}
}

func ExampleFake() {
	fake := &exectest.Fake{Programs: map[string]exectest.Script{
		"make": {
			Steps: []exectest.Step{
				{Text: "cc -c main.c\n"},
				{Text: "main.c:7: error\n", Stream: exec.Stderr, Delay: 10 * time.Millisecond},
			},
			ExitCode: 2,
		},
		"whoami": exectest.Lines("builder"),
	}}
	cmd := exec.Command{ID: "cmd-1", Target: exec.Target{Name: "demo"}, Argv: []string{"make", "all"}}
	print := func(lines []exec.Line) error {
		for _, line := range lines {
			fmt.Printf("%d %s: %s\n", line.Seq, line.Stream, line.Data)
		}
		return nil
	}
	result, err := fake.Execute(context.Background(), cmd, print)
	fmt.Println(result.ExitCode, result.Reason, err)

	// The same ID again, after the first line: nothing runs twice.
	cmd.After = 1
	result, err = fake.Execute(context.Background(), cmd, print)
	fmt.Println(result.ExitCode, result.Reason, err)

	cmd = exec.Command{ID: "cmd-2", Target: exec.Target{Name: "demo"}, Argv: []string{"cmake"}}
	_, err = fake.Execute(context.Background(), cmd, print)
	fmt.Println(errors.Is(err, exec.ErrProgramNotFound))
	// Output:
	// 1 stdout: cc -c main.c
	// 2 stderr: main.c:7: error
	// 2 exited <nil>
	// 2 stderr: main.c:7: error
	// 2 exited <nil>
	// true
}
