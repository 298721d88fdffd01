package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/orchard9/rdev/internal/kubetest"
)

// TestMain makes this test binary the program itself where a script calls
// rdev: real processes, of the code as it stands. A server in the test's own
// process starts it as its shim.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		main()
	}
	testscript.Main(withCluster{m}, map[string]func(){"rdev": main})
}

// withCluster runs the tests, and then stops the cluster if one of them had it.
type withCluster struct{ m *testing.M }

func (w withCluster) Run() int { return kubetest.Run(w.m) }
