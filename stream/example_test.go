package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/orchard9/rdev/stream"
)

// A reader that comes late gets what was published before, then follows, and
// is told the end.
func Example() {
	ctx := context.Background()
	broker := stream.NewMemory(stream.MemoryConfig{})
	defer broker.Shutdown()

	publish := func(seq uint64, kind stream.Kind, data string) {
		if err := broker.Publish(ctx, "cmd-1", []stream.Event{{Seq: seq, Kind: kind, Data: []byte(data)}}); err != nil {
			fmt.Println(err)
		}
	}
	publish(1, stream.Output, `{"line":"compiling","stream":"stdout"}`)
	publish(2, stream.Output, `{"line":"testing","stream":"stdout"}`)

	reader, err := broker.Subscribe(ctx, "cmd-1", 1) // it has the first already
	if err != nil {
		fmt.Println(err)
		return
	}
	defer reader.Close()
	publish(2, stream.Output, `{"line":"testing","stream":"stdout"}`) // again: no harm
	publish(3, stream.Complete, `{"exit_code":0,"duration_ms":1200}`)
	for {
		events, err := reader.Next(ctx)
		var gap *stream.GapError
		switch {
		case errors.Is(err, io.EOF):
			fmt.Println("end")
			return
		case errors.As(err, &gap):
			fmt.Println("missed", gap.From, "to", gap.To)
		case err != nil:
			fmt.Println(err)
			return
		}
		for _, e := range events {
			fmt.Printf("%d %s %s\n", e.Seq, e.Kind, e.Data)
		}
	}
	// Output:
	// 2 output {"line":"testing","stream":"stdout"}
	// 3 complete {"exit_code":0,"duration_ms":1200}
	// end
}
