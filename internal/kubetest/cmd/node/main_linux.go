// Command node is the first process of a test cluster's namespaces; package
// kubetest builds and starts it. See package supervise.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/orchard9/rdev/internal/kubetest/supervise"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: node data-folder [folder to keep visible]...")
		os.Exit(2)
	}
	if err := supervise.Enter(supervise.Space{Dir: os.Args[1], Keep: os.Args[2:]}); err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(supervise.Reply{Error: err.Error()})
		os.Exit(1)
	}
	if err := supervise.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}
