package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/local"
)

func Example() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 stdout: the password is ***
	// exit 3, exited
}

func TestMaskIsAnExecutor(t *testing.T) {
	exectest.Run(t, func(t *testing.T) exectest.Subject {
		machine, err := local.New(local.Config{
			Dir:     t.TempDir(),
			Targets: local.Folders(map[string]string{"here": t.TempDir()}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = machine.Close(context.Background()) })
		return exectest.Subject{
			Executor: Mask{Executor: machine, Secrets: []string{"hunter2"}},
			Target:   exec.Target{Name: "here"},
		}
	})
}
