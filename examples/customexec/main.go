// This example is an exec.Executor of your own. Mask wraps any other one and
// takes secrets out of what commands print before anything is stored or sent.
// It passes the contract suite, so rdev may use it wherever it uses the other.
//
//	go run ./examples/customexec
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/local"
)

// Mask is an Executor whose commands print *** for each of the Secrets. A
// secret that is cut in two, by the end of a long line or by a pause in the
// middle, is not found. Those of fewer than three bytes are ignored: a line may
// become shorter, never longer than a Line can be.
type Mask struct {
	exec.Executor
	Secrets []string
}

// Execute implements exec.Executor.
func (m Mask) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	return m.Executor.Execute(ctx, cmd, func(lines []exec.Line) error {
		// The lines belong to the executor, which may be giving them to others.
		masked := slices.Clone(lines)
		for i := range masked {
			masked[i].Data = m.mask(masked[i].Data)
		}
		return sink(masked)
	})
}

// Locate implements exec.Locator for an Executor that is one: embedding an
// interface hides what else its value can do.
func (m Mask) Locate(ctx context.Context, name string) (exec.Target, error) {
	if locator, ok := m.Executor.(exec.Locator); ok {
		return locator.Locate(ctx, name)
	}
	return exec.Target{Name: name}, nil
}

func (m Mask) mask(line []byte) []byte {
	for _, secret := range m.Secrets {
		if len(secret) >= 3 {
			line = bytes.ReplaceAll(line, []byte(secret), []byte("***"))
		}
	}
	return line
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "rdev-customexec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	machine, err := local.New(local.Config{Dir: dir, Targets: local.Folders(map[string]string{"here": "."})})
	if err != nil {
		return err
	}
	defer machine.Close(ctx)

	executor := Mask{Executor: machine, Secrets: []string{"hunter2"}}
	cmd := exec.Command{
		ID:     "example-1",
		Target: exec.Target{Name: "here"},
		Argv:   []string{"sh", "-c", "echo the password is $PASSWORD; exit 3"},
		Env:    map[string]string{"PASSWORD": "hunter2"},
	}
	result, err := executor.Execute(ctx, cmd, func(lines []exec.Line) error {
		for _, line := range lines {
			fmt.Fprintf(w, "%d %s: %s\n", line.Seq, line.Stream, line.Data)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "exit %d, %s\n", result.ExitCode, result.Reason)
	return nil
}
