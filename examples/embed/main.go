// This example runs commands from a Go program: rdev.Service is the whole of
// rdev without a server. Here everything is in memory; store/sqlite keeps it.
//
//	go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "rdev-embed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	executor, err := local.New(local.Config{Dir: dir, Targets: local.Folders(map[string]string{"here": "."})})
	if err != nil {
		return err
	}
	defer executor.Close(ctx)
	service, err := rdev.New(ctx, rdev.Config{
		Executor: executor,
		Projects: rdev.FixedProjects(rdev.Project{Name: "here"}),
		Commands: rdev.NewMemoryCommands(),
		Broker:   stream.NewMemory(stream.MemoryConfig{}),
		Keys:     auth.NewMemory(),
	})
	if err != nil {
		return err
	}
	defer service.Close(ctx)
	cmd, _, err := service.Run(ctx, auth.Admin(), rdev.Request{
		Project: "here",
		Request: policy.Request{Shell: &policy.Shell{Command: `printf 'one\ntwo\n'`}},
	})
	if err != nil {
		return err
	}
	return service.Follow(ctx, auth.Admin(), cmd.Project, cmd.ID, 0, func(e stream.Event) error {
		if line, err := rdev.DecodeOutput(e); err == nil {
			fmt.Fprintf(w, "%d %s: %s\n", line.Seq, line.Stream, line.Data)
		} else {
			fmt.Fprintln(w, e.Kind) // the terminal event
		}
		return nil
	})
}
