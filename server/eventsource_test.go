package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream/sse"
)

// An eventSource does what the browsers' EventSource does: it knows one id, the
// last one; it reconnects when a 200 ends, and never after another status.
type eventSource struct {
	url      string
	http     *http.Client
	lastID   string
	statuses []int
}

func (es *eventSource) run(ctx context.Context, dispatch func(sse.Event)) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, es.url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+adminKey) // a browser's would come from a proxy
		req.Header.Set("Accept", "text/event-stream")
		if es.lastID != "" {
			req.Header.Set("Last-Event-ID", es.lastID)
		}
		resp, err := es.http.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			es.statuses = append(es.statuses, 0)
			continue
		}
		es.statuses = append(es.statuses, resp.StatusCode)
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return nil
		}
		events := sse.NewDecoder(resp.Body, nil)
		for event, err := events.Next(); ; event, err = events.Next() {
			es.lastID = events.LastEventID()
			if err != nil {
				break
			}
			dispatch(event)
		}
		resp.Body.Close()
	}
}

func TestEventSource(t *testing.T) {
	t.Run("ReadsEachLineOnceThroughCutsAndStopsByItself", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		const lines = 500
		st.command("es", rdev.StateRunning)
		st.publish("es", 1, lines)
		st.complete("es", lines+1)
		proxy := faultproxy.New(t, st.addr, func(n int) faultproxy.Fault { return faultproxy.Fault{CutAfter: 700 + int64(n)*97%3000} })
		es := &eventSource{url: "http://" + proxy.Addr() + "/projects/web/events?stream_id=es", http: newHTTP(t)}
		var ids []string
		ends := 0
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		is.NoErr(es.run(ctx, func(e sse.Event) {
			switch e.Name {
			case "output":
				ids = append(ids, e.ID)
			case "complete":
				ends++
			}
		}))
		is.Equal(len(ids), lines)
		for i, id := range ids {
			is.Equal(id, fmt.Sprintf("es:%d", i+1))
		}
		is.Equal(ends, 1)
		is.Equal(es.statuses[len(es.statuses)-1], http.StatusNoContent) // which ends it
		is.True(proxy.Cuts() > 10)
	})

	t.Run("ACutBeforeTheFirstLineKeepsThePlace", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("early", rdev.StateRunning)
		_, events := openStream(t, st, "early")
		next(t, events, "connected")
		id := events.LastEventID() // the connection is lost here
		st.publish("early", 1, 3)
		st.complete("early", 4)
		_, events = openStream(t, st, "early", "Last-Event-ID", id)
		next(t, events, "connected")
		is.Equal(next(t, events, "output").ID, "early:1")
	})

	t.Run("TheURLOfAReloadedPageIsOverruledByTheHeader", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("reload", rdev.StateRunning)
		st.publish("reload", 1, 9)
		resp := st.open("GET", "/projects/web/events?stream_id=reload&last_event_id=reload:2", "", "Last-Event-ID", "reload:7")
		defer resp.Body.Close()
		events := sse.NewDecoder(resp.Body, nil)
		next(t, events, "connected")
		is.Equal(next(t, events, "output").ID, "reload:8")
	})
}

func newHTTP(t *testing.T) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// FuzzLastEventID: no id makes the server fail, or serve another place than
// the one that it names.
func FuzzLastEventID(f *testing.F) {
	for _, seed := range []string{"done:0", "done:3", "done:final", "done:6", "done:7", "done:03", "done:", ":3", "x", "done:-1", "other:3", "done:9223372036854775807", "done:70000 "} {
		f.Add(seed)
	}
	st := newStand(f, nil)
	st.command("done", rdev.StateSucceeded)
	st.publish("done", 1, 5)
	st.complete("done", 6)
	f.Fuzz(func(t *testing.T, id string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.url+"/projects/web/events?stream_id=done", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminKey)
		req.Header.Set("Last-Event-ID", id)
		resp, err := st.http.Do(req)
		if err != nil {
			return // not a header that a client may send
		}
		defer resp.Body.Close()
		id = textproto.TrimString(id) // space around a value is not part of it (RFC 9110, 5.5)
		at, parsed := sse.ParseCursor(id)
		switch {
		case resp.StatusCode == http.StatusBadRequest && (parsed != nil || at.Stream != "done"):
		case resp.StatusCode == http.StatusNoContent && parsed == nil && (at.Final || at.Seq == 6):
		case resp.StatusCode == http.StatusOK:
			events := sse.NewDecoder(resp.Body, nil)
			var first sse.Event
			for first.Name != "output" && first.Name != "complete" {
				if first, err = events.Next(); err != nil {
					break
				}
			}
			want := fmt.Sprintf("done:%d", at.Seq+1)
			if at.Seq == 5 {
				want = "done:final"
			}
			if at.Seq > 6 && errors.Is(err, io.EOF) {
				return // told as a gap
			}
			if id != "" && first.ID != want {
				t.Errorf("after %q comes %q", id, first.ID)
			}
		default:
			t.Errorf("%d for %q", resp.StatusCode, id)
		}
	})
}
