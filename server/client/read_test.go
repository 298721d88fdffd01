package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server/client"
)

// streamer answers every request for events with the same text, and keeps the
// connection open behind it, except for the first cuts, which it drops.
func streamer(t *testing.T, text string, cuts int32) *httptest.Server {
	t.Helper()
	var seen atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) <= cuts {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, text)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRead(t *testing.T) {
	const connected = "event: connected\nid: cmd-1:0\ndata: {\"head_seq\":%d}\n\n"
	const one = "event: output\nid: cmd-1:1\ndata: {\"line\":\"one\",\"stream\":\"stdout\"}\n\n"
	const complete = "event: complete\nid: cmd-1:final\ndata: {\"exit_code\":3,\"state\":\"failed\"}\n\n"

	for _, c := range []struct {
		name, text string
		lines      int
		ended      bool
	}{
		{"ReturnsAtOnceIfThereIsNothing", fmt.Sprintf(connected, 0), 0, false},
		{"ReturnsBehindTheLastLineOfACommandThatRuns", fmt.Sprintf(connected, 1) + one, 1, false},
		{"ReturnsTheEndOfACommandThatHasEnded", fmt.Sprintf(connected, 2) + one + complete, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			cl, err := client.New(streamer(t, c.text, 0).URL, "key", nil)
			is.NoErr(err)
			defer cl.Close()
			lines := 0
			end, err := cl.Read(t.Context(), "web", "cmd-1", 0, func(events []client.Event) error {
				lines += len(events)
				return nil
			})
			is.NoErr(err)
			is.Equal(lines, c.lines)
			is.Equal(end != nil, c.ended)
			if end != nil {
				is.Equal(*end.ExitCode, 3)
			}
		})
	}
	t.Run("TellsOfEveryLostConnection", func(t *testing.T) {
		is := is.New(t)
		lost := 0
		cl, err := client.New(streamer(t, fmt.Sprintf(connected, 0), 2).URL, "key", &client.Options{
			OnReconnect: func(error) { lost++ },
		})
		is.NoErr(err)
		defer cl.Close()
		_, err = cl.Read(t.Context(), "web", "cmd-1", 0, func([]client.Event) error { return nil })
		is.NoErr(err)
		is.Equal(lost, 2)
	})
}
