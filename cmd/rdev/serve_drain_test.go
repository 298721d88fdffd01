package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/stream/sse"
)

// A follower is a reader of one command and what it has got, over all of its
// connections.
type follower struct {
	command string
	lines   uint64 // in order, without a hole
	last    string // event id
	state   string // in the terminal event
	retry   time.Duration
}

// read follows the command at the server until the body ends. begun is called
// at the first event.
func (f *follower) read(ctx context.Context, url string, begun func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/projects/here/events?stream_id="+f.command, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+sharedKey)
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	events := sse.NewDecoder(resp.Body, nil)
	for {
		e, err := events.Next()
		if err != nil {
			f.last = events.LastEventID()
			f.retry, _ = events.Retry()
			if err == io.EOF {
				return nil
			}
			return err
		}
		switch e.Name {
		case "connected":
			begun()
		case "output":
			_, number, _ := strings.Cut(e.ID, ":")
			if seq, err := strconv.ParseUint(number, 10, 64); err != nil || seq != f.lines+1 {
				return fmt.Errorf("event %s after line %d", e.ID, f.lines)
			}
			f.lines++
		case "complete", "error":
			var end struct{ State string }
			if err := json.Unmarshal(e.Data, &end); err != nil {
				return err
			}
			f.state = end.State
		case "gap":
			return fmt.Errorf("a gap: %s", e.Data)
		}
	}
}

// readAll has all read at the server, waits until all have begun, and meanwhile
// does something; it returns when every body has ended.
func readAll(t *testing.T, followers []*follower, url string, meanwhile func()) {
	t.Helper()
	begun, ended := make(chan struct{}, len(followers)), make(chan error, len(followers))
	for _, f := range followers {
		go func() { ended <- f.read(t.Context(), url, func() { begun <- struct{}{} }) }()
	}
	for range followers {
		select {
		case <-begun:
		case <-time.After(2 * patience):
			t.Fatal("not all readers have begun")
		}
	}
	meanwhile()
	for range followers {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// runScript runs a shell script in the project and returns the command's id.
func (p *process) runScript(script string) string {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"command": script})
	if err != nil {
		p.t.Fatal(err)
	}
	status, answer := p.ask("POST", "/projects/here/shell", string(body))
	var created struct {
		Data struct{ ID string }
	}
	if err := json.Unmarshal([]byte(answer), &created); err != nil || status != http.StatusCreated {
		p.t.Fatalf("%d %s, %v", status, answer, err)
	}
	return created.Data.ID
}

// TestTerminateOneOfTwoServers sends SIGTERM to one of two real servers on one
// Postgres, with 500 readers on it: half follow a command of its own, which
// ends with it, half one of the other server, which goes on.
func TestTerminateOneOfTwoServers(t *testing.T) {
	is := is.New(t)
	const grace = 20 * time.Second
	dsn := pgtest.New(t, nil)
	env := []string{"RDEV_DATABASE_URL=" + dsn, "RDEV_POLICY=permissive", "RDEV_SHUTDOWN_TIMEOUT=" + grace.String()}
	leaving, staying := startProcess(t, env...), startProcess(t, env...)
	flag := filepath.Join(t.TempDir(), "flag")

	// The first one takes its time to end, so that the server can be seen
	// while it stops.
	own := leaving.runScript(`trap '' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done`)
	other := staying.runScript(`i=0; while [ ! -e ` + flag + ` ]; do i=$((i+1)); echo line $i; sleep 0.1; done`)
	var ofOwn, ofOther, all []*follower
	for range 250 {
		ofOwn, ofOther = append(ofOwn, &follower{command: own}), append(ofOther, &follower{command: other})
	}
	all = append(append(all, ofOwn...), ofOther...)

	var asked time.Time
	readAll(t, all, leaving.url, func() {
		status, _ := leaving.ask("GET", "/readyz", "")
		is.Equal(status, http.StatusOK)
		asked = time.Now()
		leaving.terminate()
		leaving.until("it is not ready", func() bool {
			status, _ = leaving.ask("GET", "/readyz", "")
			return status == http.StatusServiceUnavailable
		})
		status, _ = leaving.ask("GET", "/healthz", "")
		is.Equal(status, http.StatusOK)
		leaving.until("it takes no new commands", func() bool {
			var answer string
			status, answer = leaving.ask("POST", "/projects/here/shell", `{"command":"true"}`)
			return status == http.StatusServiceUnavailable && strings.Contains(answer, `"UNAVAILABLE"`)
		})
	})
	is.Equal(leaving.ended(), 0)
	took := time.Since(asked)
	is.True(took < grace)

	// Its own command was seen to end, by all, and after the same line.
	var record struct {
		Data struct {
			State  string
			Result struct{ Lines uint64 }
		}
	}
	_, answer := staying.ask("GET", "/projects/here/commands/"+own, "")
	is.NoErr(json.Unmarshal([]byte(answer), &record))
	is.Equal(record.Data.State, "canceled")
	for _, f := range ofOwn {
		is.Equal(f.state, "canceled")
		is.Equal(f.lines, ofOwn[0].lines)
		is.True(f.lines > 0)
	}

	// The others are sent to the other server, not all at once.
	waits := map[time.Duration]bool{}
	for _, f := range ofOther {
		is.Equal(f.state, "")
		is.True(f.retry >= 2*time.Second && f.retry < 6*time.Second)
		waits[f.retry/(100*time.Millisecond)] = true
	}
	is.True(len(waits) > 20)
	readAll(t, ofOther, staying.url, func() { is.NoErr(os.WriteFile(flag, nil, 0o600)) })
	for _, f := range ofOther {
		is.Equal(f.state, "succeeded")
		is.Equal(f.lines, ofOther[0].lines)
	}
	t.Logf("the server ended after %v", took)
}
