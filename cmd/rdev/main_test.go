package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the program itself where a script calls
// rdev: real processes, of the code as it stands.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rdev": main})
}
