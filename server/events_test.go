package server_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream/sse"
)

var update = flag.Bool("update", false, "write the golden files anew")

// volatile is what differs from run to run in a transcript.
var volatile = regexp.MustCompile(`retry: \d+|cmd-[0-9a-z]{26}|"duration_ms":\d+|"timestamp":"[^"]*"`)

// TestTranscripts holds every byte of a stream against a file.
func TestTranscripts(t *testing.T) {
	st := newStand(t, nil)
	c := st.client(adminKey, nil)
	for _, program := range []string{"true", "both", "fail", "missing"} {
		t.Run(program, func(t *testing.T) {
			is := is.New(t)
			cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{program}}, nil)
			is.NoErr(err)
			_, err = c.Follow(t.Context(), "web", cmd.ID, 0, func([]client.Event) error { return nil })
			is.NoErr(err)
			a := st.do("GET", cmd.EventsURL, "")
			is.Equal(a.status, http.StatusOK)
			golden(t, program+".sse", a.body)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = volatile.ReplaceAllStringFunc(got, func(s string) string {
		if i := strings.IndexAny(s, ":-"); i >= 0 {
			return s[:i+1] + "…"
		}
		return s
	})
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

// openStream opens a stream and returns its decoder.
func openStream(t *testing.T, st *stand, id string, headers ...string) (*http.Response, *sse.Decoder) {
	t.Helper()
	resp := st.open("GET", "/projects/web/events?stream_id="+id, "", headers...)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return resp, sse.NewDecoder(resp.Body, nil)
}

func next(t *testing.T, d *sse.Decoder, name string) sse.Event {
	t.Helper()
	event, err := d.Next()
	if err != nil || event.Name != name {
		t.Fatalf("got %q, %v, want %q", event.Name, err, name)
	}
	return event
}

func TestStream(t *testing.T) {
	t.Run("OnAConnection", func(t *testing.T) { testStream(t, newStand) })
	t.Run("OnAResponse", func(t *testing.T) {
		testStream(t, func(t testing.TB, change func(*setup)) *stand {
			return newStand(t, func(up *setup) {
				wrapped(up)
				if change != nil {
					change(up)
				}
			})
		})
	})
}

func testStream(t *testing.T, newStand func(testing.TB, func(*setup)) *stand) {
	t.Run("ConnectedComesBeforeAnythingIsThere", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("quiet", rdev.StateQueued)
		resp, events := openStream(t, st, "quiet")
		connected := next(t, events, "connected")
		is.Equal(connected.ID, "quiet:0")
		is.Equal(string(connected.Data), `{"project":"web","stream_id":"quiet","resume":"fresh","head_seq":0}`)
		retry, said := events.Retry()
		is.True(said && retry >= time.Second && retry < 3*time.Second)
		for name, value := range map[string]string{
			"Content-Type":           "text/event-stream; charset=utf-8",
			"Cache-Control":          "no-cache, no-store, no-transform",
			"X-Accel-Buffering":      "no",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
			"Content-Length":         "",
			"Content-Encoding":       "",
		} {
			is.Equal(resp.Header.Get(name), value)
		}
	})

	t.Run("HeartbeatsHaveNoIDAndTellTheHead", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.config.Heartbeat = 20 * time.Millisecond })
		st.command("quiet", rdev.StateRunning)
		st.publish("quiet", 1, 2)
		resp, _ := openStream(t, st, "quiet", "Last-Event-ID", "quiet:2")
		lines := bufio.NewScanner(resp.Body)
		var transcript []string
		for lines.Scan() && len(transcript) < 12 {
			transcript = append(transcript, lines.Text())
		}
		text := strings.Join(transcript, "\n")
		is.True(strings.Contains(text, "\n\nevent: heartbeat\ndata: {\"timestamp\":\""))
		is.True(strings.Contains(text, `"head_seq":2}`))
	})

	t.Run("LiveEventsFollowTheReplayWithoutASeam", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("live", rdev.StateRunning)
		st.publish("live", 1, 10)
		_, events := openStream(t, st, "live")
		next(t, events, "connected")
		for seq := 1; seq <= 50; seq++ {
			if seq >= 10 && seq < 50 {
				st.publish("live", uint64(seq+1), uint64(seq+1))
			}
			is.Equal(next(t, events, "output").ID, fmt.Sprintf("live:%d", seq))
		}
		st.complete("live", 51)
		is.Equal(next(t, events, "complete").ID, "live:final")
		_, err := events.Next()
		is.Equal(err, io.EOF) // the body ends
	})

	t.Run("AnOldResponseEndsBetweenEvents", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.config.MaxStreamAge = 50 * time.Millisecond })
		st.command("old", rdev.StateRunning)
		_, events := openStream(t, st, "old")
		next(t, events, "connected")
		_, err := events.Next()
		is.Equal(err, io.EOF)
	})

	t.Run("AStreamEndsWithItsKey", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("short", rdev.StateRunning)
		_, secret, err := st.svc.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
			Name: "short", Scopes: []auth.Scope{auth.ScopeStreamsRead}, Projects: []auth.Pattern{"web"}, ExpiresAt: time.Now().Add(300 * time.Millisecond),
		})
		is.NoErr(err)
		_, events := openStream(t, st, "short", "Authorization", "Bearer "+secret.Reveal())
		next(t, events, "connected")
		is.Equal(denial(t, events), "UNAUTHENTICATED")
		_, err = events.Next()
		is.Equal(err, io.EOF)
		is.Equal(st.do("GET", "/projects/web/events?stream_id=short", "", "Authorization", "Bearer "+secret.Reveal()).status, http.StatusUnauthorized)
	})

	t.Run("DrainEndsStreamsAndSpreadsTheirReturn", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("drained", rdev.StateRunning)
		st.publish("drained", 1, 1)
		_, events := openStream(t, st, "drained")
		next(t, events, "connected")
		next(t, events, "output")
		is.Equal(st.do("GET", "/readyz", "").status, http.StatusOK)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		is.NoErr(st.srv.Drain(ctx))
		_, err := events.Next()
		is.Equal(err, io.EOF)
		retry, _ := events.Retry()
		is.True(retry >= 2*time.Second && retry < 6*time.Second)

		ready := st.do("GET", "/readyz", "")
		is.Equal(ready.status, http.StatusServiceUnavailable)
		is.Equal(ready.code(), "UNAVAILABLE")
		is.Equal(st.do("GET", "/healthz", "").status, http.StatusOK)
		is.Equal(st.do("GET", "/projects", "").status, http.StatusOK)

		first := st.do("GET", "/projects/web/events?stream_id=drained", "")
		is.Equal(first.status, http.StatusServiceUnavailable)
		is.True(first.header.Get("Retry-After") != "")
		// An EventSource that comes back would be lost for good by a 503.
		again := st.do("GET", "/projects/web/events?stream_id=drained", "", "Last-Event-ID", "drained:1")
		is.Equal(again.status, http.StatusOK)
		is.True(regexp.MustCompile(`^retry: \d{4}\n\n: UNAVAILABLE\n\n$`).MatchString(again.body))
	})

	t.Run("AcceptIsHeld", func(t *testing.T) {
		st := newStand(t, nil)
		st.command("done", rdev.StateSucceeded)
		st.complete("done", 1)
		for accept, status := range map[string]int{
			"text/event-stream": 200, "*/*": 200, "text/*": 200, "application/json, text/event-stream;q=0.5": 200,
			"application/json": 406, "text/html": 406, "text/event-stream;q=0": 406, "text/event-stream;q=0.0": 406, "nonsense": 406,
		} {
			is := is.New(t)
			a := st.do("GET", "/projects/web/events?stream_id=done", "", "Accept", accept)
			is.Equal(a.status, status)
			if status != 200 {
				is.Equal(a.code(), "NOT_ACCEPTABLE")
			}
		}
	})

	t.Run("AMissingStreamIDIsNamed", func(t *testing.T) {
		is := is.New(t)
		is.Equal(newStand(t, nil).do("GET", "/projects/web/events", "").field(), "stream_id")
	})

	t.Run("AHandlerThatCannotFlushIsRefused", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("cannot", rdev.StateRunning)
		w := &plainWriter{header: http.Header{}}
		req, err := http.NewRequestWithContext(t.Context(), "GET", "/projects/web/events?stream_id=cannot", nil)
		is.NoErr(err)
		req.Header.Set("Authorization", "Bearer "+adminKey)
		st.srv.ServeHTTP(w, req)
		is.Equal(w.status, http.StatusInternalServerError)
	})
}

// A plainWriter is a ResponseWriter that can do no more than it must.
type plainWriter struct {
	header http.Header
	status int
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }
