// This example is a stream.Broker of your own: one file per stream, and a
// stream.Hub between the files and their readers. The broker itself decides
// nothing: stream.Head has the rules, the Hub has the readers.
//
//	go run ./examples/custombroker
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/orchard9/rdev/stream"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "rdev-custombroker-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	before := Open(dir)
	err = before.Publish(ctx, "cmd-1", []stream.Event{
		{Seq: 1, Kind: stream.Output, Data: []byte(`{"line":"one","stream":"stdout"}`)},
		{Seq: 2, Kind: stream.Output, Data: []byte(`{"line":"two","stream":"stdout"}`)},
		{Seq: 3, Kind: stream.Complete, Data: []byte(`{"exit_code":0}`)},
	})
	if err != nil {
		return err
	}
	before.Shutdown()

	// Another process, later: a reader that has the first event goes on.
	after := Open(dir)
	defer after.Shutdown()
	sub, err := after.Subscribe(ctx, "cmd-1", 1)
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		events, err := sub.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range events {
			fmt.Fprintf(w, "%d %s %s\n", e.Seq, e.Kind, e.Data)
		}
	}
}
