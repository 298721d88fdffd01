//go:build linux

// Command threadless is a process whose first thread has ended. It says so on
// stdout, and ends when its stdin does.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/orchard9/rdev/internal/oddproc"
)

func main() {
	oddproc.EndFirstThread()
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
