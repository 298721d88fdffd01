package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
)

// A line is one line of the log.
type line map[string]any

// lines waits until the log has a line for which found holds, and returns all
// such lines.
func (st *stand) lines(found func(line) bool) (matching []line) {
	st.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(matching) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			st.t.Fatalf("there is no such line in\n%s", st.log.String())
		}
		for text := range strings.Lines(st.log.String()) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				st.t.Fatalf("%q is not JSON: %v", text, err)
			}
			if found(l) {
				matching = append(matching, l)
			}
		}
	}
	return matching
}

// of selects the lines of a request.
func of(requestID string) func(line) bool {
	return func(l line) bool { return l["request_id"] == requestID }
}

func TestEveryLineSaysWhatItIsAbout(t *testing.T) {
	for name, change := range map[string]func(*setup){"taken over": nil, "through middleware": wrapped} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			st := newStand(t, change)
			secret := st.key([]auth.Scope{auth.ScopeCommandsShell, auth.ScopeStreamsRead, auth.ScopeCommandsRead}, "web")
			keyID, _, err := auth.ParseKey(secret)
			is.NoErr(err)
			as := []string{"Authorization", "Bearer " + secret, "X-Request-Id"}

			ran := st.do("POST", "/projects/web/shell", `{"argv":["echo"]}`, append(as, "run-12345678")...)
			is.Equal(ran.status, http.StatusCreated)
			id := data[struct{ ID string }](t, ran).ID
			st.do("GET", "/projects/web/events?stream_id="+id, "", append(as, "follow-12345678")...)
			st.do("GET", "/projects/web/commands/"+id, "", append(as, "get-12345678")...)
			refused := st.do("POST", "/projects/web/commands/"+id+"/cancel", "", append(as, "cancel-12345678")...)
			is.Equal(refused.status, http.StatusForbidden)

			for request, route := range map[string]string{
				"run-12345678":    "/projects/:project/shell",
				"follow-12345678": "/projects/:project/events",
				"get-12345678":    "/projects/:project/commands/:command",
				"cancel-12345678": "/projects/:project/commands/:command/cancel",
			} {
				lines := st.lines(of(request))
				is.Equal(len(lines), 1)
				l := lines[0]
				is.Equal(l["project"], "web")
				is.Equal(l["command"], id)
				is.Equal(l["key_id"], keyID)
				is.Equal(l["route"], route)
				is.Equal(l["from"], "127.0.0.1")
				is.True(l["status"].(float64) > 0)
				is.Equal(l["trace_id"], nil)
			}
			record, err := st.records.Get(t.Context(), id)
			is.NoErr(err)
			is.Equal(record.RequestID, "run-12345678") // for the lines about it that come later
		})
	}
}

// TestAPanicIsInternal: its caller gets the request's id and no more, its stack
// is in the log with all that the request is about.
func TestAPanicIsInternal(t *testing.T) {
	const id = "cmd-01jnf000000000000000000001"
	about := func(is *is.I, l line) {
		is.Equal(l["level"], "error")
		is.Equal(l["project"], "web")
		is.Equal(l["command"], id)
		is.Equal(l["key_id"], "admin")
		is.True(strings.Contains(l["panic"].(string), "the secret of the panic"))
	}
	thrown := func(l line) bool { return l["message"] == "panic" }
	t.Run("Answered", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.commands = panicking{up.commands} })
		a := st.do("GET", "/projects/web/commands/"+id, "", "X-Request-Id", "panic-12345678")
		is.Equal(a.status, http.StatusInternalServerError)
		is.Equal(a.code(), "INTERNAL")
		is.True(strings.Contains(a.body, `"request_id":"panic-12345678"`))
		is.True(!strings.Contains(a.body, "secret"))
		l := st.lines(thrown)[0]
		is.Equal(l["request_id"], "panic-12345678")
		is.True(strings.Contains(l["stack"].(string), "panicking.Get"))
		about(is, l)
		request := st.lines(func(l line) bool { return l["message"] == "request" })
		is.Equal(request[0]["code"], "INTERNAL")
	})
	for name, change := range map[string]func(*setup){"InAStream": func(*setup) {}, "InAStreamThroughMiddleware": wrapped} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			st := newStand(t, func(up *setup) {
				change(up)
				up.config.Observer = throwing{}
			})
			st.command(id, rdev.StateRunning)
			st.publish(id, 1, 3)
			st.trim(id, 2) // there is a gap to tell
			resp := st.open("GET", "/projects/web/events?stream_id="+id, "", "X-Request-Id", "panic-12345678")
			is.Equal(resp.StatusCode, http.StatusOK)
			_, _ = io.ReadAll(resp.Body) // it is cut
			is.NoErr(resp.Body.Close())
			l := st.lines(thrown)[0]
			is.Equal(l["request_id"], "panic-12345678")
			is.True(strings.Contains(l["stack"].(string), "throwing.GapTold"))
			about(is, l)
		})
	}
}

type panicking struct{ rdev.Commands }

func (panicking) Get(context.Context, string) (rdev.Command, error) {
	panic("the secret of the panic")
}

type throwing struct{ server.Observer }

func (throwing) Answered(server.Answer)   {}
func (throwing) Lagged(uint64)            {}
func (throwing) GapTold(*stream.GapError) { panic("the secret of the panic") }
