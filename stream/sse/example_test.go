package sse_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/stream/sse"
)

// What a server writes in one go, and what a client makes of it.
func Example() {
	frames := sse.AppendRetry(nil, 2*time.Second)
	frames, _ = sse.AppendEvent(frames, "cmd-1:6", "connected", []byte(`{"head_seq":7}`))
	frames, _ = sse.Cursor{Stream: "cmd-1", Seq: 7}.AppendEvent(frames, "output", []byte(`{"line":"hi"}`))
	frames = append(frames, "id: cmd-1:8\nda"...) // and then the connection broke

	decoder := sse.NewDecoder(strings.NewReader(string(frames)), nil)
	for {
		event, err := decoder.Next()
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s %s %s\n", event.ID, event.Name, event.Data)
	}
	cursor, err := sse.ParseCursor(decoder.LastEventID())
	fmt.Println("go on behind", cursor.Seq, "of", cursor.Stream, err)
	// Output:
	// cmd-1:6 connected {"head_seq":7}
	// cmd-1:7 output {"line":"hi"}
	// unexpected EOF
	// go on behind 7 of cmd-1 <nil>
}
