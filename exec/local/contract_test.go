package local_test

import (
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
)

func TestContract(t *testing.T) {
	exectest.Run(t, func(t *testing.T) exectest.Subject {
		x := newExecutor(t)
		return exectest.Subject{Executor: x, Target: exec.Target{Name: "here"}}
	})
}
