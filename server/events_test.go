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
	"github.com/orchard9/rdev/stream"
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

// TestResume has one row for each row of the decision table.
func TestResume(t *testing.T) {
	type want struct {
		status int
		resume string
		gap    string // data of the gap event
		first  string // id of the first stored event
		field  string
	}
	memory := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(memory.Shutdown)
	st := newStand(t, func(up *setup) { up.broker = memory })
	// Six kinds of streams: five lines, some with a terminal event behind.
	for _, id := range []string{"open", "done", "trimmed", "trimmed-done", "empty", "closed", "gone"} {
		state := rdev.StateRunning
		if strings.Contains(id, "done") || id == "gone" {
			state = rdev.StateSucceeded
		}
		st.command(id, state)
		if id != "empty" {
			st.publish(id, 1, 5)
		}
		if state.Terminal() {
			st.complete(id, 6)
		}
	}
	memory.Trim("trimmed", 3)
	memory.Trim("trimmed-done", 3)
	memory.Trim("gone", 6)
	st.command("forgotten", rdev.StateSucceeded) // a record whose stream is not there at all
	if err := memory.Close(t.Context(), "closed"); err != nil {
		t.Fatal(err)
	}

	retention := func(from, to int) string { return fmt.Sprintf(`{"from":%d,"to":%d,"reason":"retention"}`, from, to) }
	for _, row := range []struct {
		name, stream string
		header       []string
		query        string
		want         want
	}{
		{"None", "done", nil, "", want{200, "fresh", "", "done:1", ""}},
		{"NoneOfALiveStream", "open", nil, "", want{200, "fresh", "", "open:1", ""}},
		{"NoneOfAnEmptyStream", "empty", nil, "", want{200, "fresh", "", "", ""}},
		{"EmptyHeaderIsNone", "done", []string{""}, "", want{200, "fresh", "", "done:1", ""}},
		{"NonePastRetention", "trimmed", nil, "", want{200, "gap", retention(1, 3), "trimmed:4", ""}},
		{"Zero", "done", []string{"done:0"}, "", want{200, "exact", "", "done:1", ""}},
		{"Within", "done", []string{"done:3"}, "", want{200, "exact", "", "done:4", ""}},
		{"LastLine", "done", []string{"done:5"}, "", want{200, "exact", "", "done:final", ""}},
		{"HeadOfALiveStream", "open", []string{"open:5"}, "", want{200, "exact", "", "", ""}},
		{"EdgeOfRetention", "trimmed", []string{"trimmed:3"}, "", want{200, "exact", "", "trimmed:4", ""}},
		{"PastRetention", "trimmed-done", []string{"trimmed-done:1"}, "", want{200, "gap", retention(2, 3), "trimmed-done:4", ""}},
		{"AheadOfALiveStream", "open", []string{"open:9"}, "", want{200, "gap", `{"from":6,"to":9,"reason":"log_truncated"}`, "", ""}},
		{"AheadOfAnEmptyStream", "empty", []string{"empty:2"}, "", want{200, "gap", `{"from":1,"to":2,"reason":"log_truncated"}`, "", ""}},
		{"Final", "done", []string{"done:final"}, "", want{204, "", "", "", ""}},
		{"NumberOfTheTerminalEvent", "done", []string{"done:6"}, "", want{204, "", "", "", ""}},
		{"EndOfAClosedStream", "closed", []string{"closed:5"}, "", want{204, "", "", "", ""}},
		{"FinalOfWhatIsGone", "gone", []string{"gone:final"}, "", want{204, "", "", "", ""}},
		{"Gone", "gone", nil, "", want{410, "", "", "", ""}},
		{"GoneForAReaderWithHalfOfIt", "gone", []string{"gone:2"}, "", want{410, "", "", "", ""}},
		{"ForgottenByTheBroker", "forgotten", nil, "", want{410, "", "", "", ""}},
		{"UnknownCommand", "nobody", nil, "", want{404, "", "", "", ""}},
		{"UnknownCommandWithItsOwnID", "nobody", []string{"nobody:3"}, "", want{404, "", "", "", ""}},
		{"OtherStream", "done", []string{"open:3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"PrefixOfAnotherStream", "trimmed", []string{"trimmed-done:3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NoColon", "done", []string{"3"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NoNumber", "done", []string{"done:"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"Negative", "done", []string{"done:-1"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"LeadingZero", "done", []string{"done:03"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"NotANumber", "done", []string{"done:3x"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"AboveInt64", "done", []string{"done:9223372036854775808"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"TooLong", "done", []string{"done:" + strings.Repeat("1", 300)}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"TwoHeaders", "done", []string{"done:1", "done:1"}, "", want{400, "", "", "", "Last-Event-ID"}},
		{"Query", "done", nil, "&last_event_id=done:4", want{200, "exact", "", "done:5", ""}},
		{"HeaderOverQuery", "done", []string{"done:5"}, "&last_event_id=done:1", want{200, "exact", "", "done:final", ""}},
		{"EmptyHeaderLeavesTheQuery", "done", []string{""}, "&last_event_id=done:4", want{200, "exact", "", "done:5", ""}},
		{"BadQuery", "done", nil, "&last_event_id=x", want{400, "", "", "", "last_event_id"}},
		{"EmptyQueryIsNone", "done", nil, "&last_event_id=", want{200, "fresh", "", "done:1", ""}},
		{"TwoQueries", "done", nil, "&last_event_id=done:1&last_event_id=done:2", want{400, "", "", "", "last_event_id"}},
		{"OtherParameter", "done", nil, "&from=now", want{400, "", "", "", "from"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			is := is.New(t)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.url+"/projects/web/events?stream_id="+row.stream+row.query, nil)
			is.NoErr(err)
			req.Header.Set("Authorization", "Bearer "+adminKey)
			if row.header != nil {
				req.Header["Last-Event-ID"] = row.header
			}
			resp, err := st.http.Do(req)
			is.NoErr(err)
			defer resp.Body.Close()
			is.Equal(resp.StatusCode, row.want.status)
			if row.want.status != http.StatusOK {
				b, _ := io.ReadAll(resp.Body)
				is.Equal(answer{body: string(b)}.field(), row.want.field)
				is.Equal(len(b) == 0, row.want.status == http.StatusNoContent)
				return
			}
			is.Equal(resp.Header.Get("Rdev-Resume"), row.want.resume)
			events := sse.NewDecoder(resp.Body, nil)
			connected, err := events.Next()
			is.NoErr(err)
			is.Equal(connected.Name, "connected")
			is.True(strings.Contains(string(connected.Data), `"resume":"`+row.want.resume+`"`))
			if row.want.gap != "" {
				gap, err := events.Next()
				is.NoErr(err)
				is.Equal(gap.Name, "gap")
				is.Equal(string(gap.Data), row.want.gap)
				// The id of a gap leads a reader that is cut right here to
				// behind it.
				at, err := sse.ParseCursor(gap.ID)
				is.NoErr(err)
				if strings.Contains(row.want.gap, "retention") {
					is.Equal(fmt.Sprintf("%s:%d", row.stream, at.Seq+1), row.want.first)
				} else {
					is.True(at.Seq <= 5)
				}
			}
			if row.want.first != "" {
				event, err := events.Next()
				is.NoErr(err)
				is.Equal(event.ID, row.want.first)
			}
			if row.stream == "done" { // and then all the rest
				last := ""
				for event, err := events.Next(); err == nil; event, err = events.Next() {
					last = event.ID
				}
				is.True(last == "done:final" || row.want.first == "done:final")
			}
		})
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
