// This example reads the output of a command with nothing but HTTP and a
// decoder of server-sent events, and goes on where it was when the connection
// is lost: the id of the last event is all that a reader has to remember.
// server/client does this and more in one call, Follow.
//
//	go run ./cmd/rdev serve
//	RDEV_API_KEY=… go run ./examples/tail PROJECT "$(go run ./cmd/rdev run --detach -- seq 5)"
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/orchard9/rdev/stream/sse"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: tail PROJECT COMMAND-ID")
	}
	t := tail{server: "http://127.0.0.1:8080", key: os.Getenv("RDEV_API_KEY"), project: os.Args[1], id: os.Args[2]}
	if err := t.run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A tail is a reader of one command.
type tail struct {
	server, key, project, id string

	last string // the id of the last event
}

// run prints events until the terminal one, over as many connections as it
// takes.
func (t *tail) run(ctx context.Context, w io.Writer) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		done, err := t.connect(ctx, w)
		if done {
			return err
		}
		fmt.Fprintf(w, "(lost, back at %s)\n", t.last)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect reads one response. It is done after the terminal event, and when the
// server refuses; a connection that was lost is not the end.
func (t *tail) connect(ctx context.Context, w io.Writer) (done bool, err error) {
	address := t.server + "/projects/" + url.PathEscape(t.project) + "/events?stream_id=" + url.QueryEscape(t.id)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return true, err
	}
	req.Header.Set("Authorization", "Bearer "+t.key)
	req.Header.Set("Accept", "text/event-stream")
	if t.last != "" {
		req.Header.Set("Last-Event-ID", t.last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNoContent: // everything was read before
		return true, nil
	case resp.StatusCode >= 500: // it may be restarting
		return false, nil
	case resp.StatusCode != http.StatusOK:
		return true, fmt.Errorf("the server says %s", resp.Status)
	}
	events := sse.NewDecoder(resp.Body, nil)
	for {
		event, err := events.Next()
		if err != nil {
			return false, err
		}
		if event.ID != "" {
			t.last = event.ID
		}
		switch event.Name {
		case "output", "gap":
			fmt.Fprintf(w, "%s %s\n", event.Name, event.Data)
		case "complete", "error":
			fmt.Fprintf(w, "%s\n", event.Name)
			return true, nil
		}
	}
}
