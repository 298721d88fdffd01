package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the program itself where a script calls
// rdev: real processes, of the code as it stands. A server in the test's own
// process starts it as its shim.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		main()
	}
	testscript.Main(m, map[string]func(){"rdev": main})
}
