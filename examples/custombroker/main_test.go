package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

func Example() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 output {"line":"two","stream":"stdout"}
	// 3 complete {"exit_code":0}
}

func TestFilesIsABroker(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Subject {
		dir := t.TempDir()
		f := Open(dir)
		t.Cleanup(func() { _ = f.Shutdown() })
		return streamtest.Subject{
			Broker: f,
			Reopen: func(t *testing.T) stream.Broker {
				_ = f.Shutdown()
				f = Open(dir)
				return f
			},
		}
	})
}
