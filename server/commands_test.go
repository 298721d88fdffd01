package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server/client"
)

func TestCommands(t *testing.T) {
	st := newStand(t, nil)
	c := st.client(adminKey, nil)

	t.Run("PostAnswersAtOnceWithTheCommandAndItsLocation", func(t *testing.T) {
		is := is.New(t)
		a := st.do("POST", "/projects/web/shell", `{"argv":["echo","hi"]}`)
		is.Equal(a.status, http.StatusCreated)
		cmd := data[client.Command](t, a)
		is.Equal(cmd.StreamID, cmd.ID)
		is.Equal(a.header.Get("Location"), "/projects/web/commands/"+cmd.ID)
		is.Equal(cmd.EventsURL, "/projects/web/events?stream_id="+cmd.ID)
		is.Equal(st.do("GET", cmd.EventsURL, "").status, http.StatusOK)
		is.Equal(st.do("GET", a.header.Get("Location"), "").status, http.StatusOK)
	})

	t.Run("ARetriedPostReturnsTheFirstCommand", func(t *testing.T) {
		is := is.New(t)
		first := st.do("POST", "/projects/web/shell", `{"argv":["echo"]}`, "Idempotency-Key", "retry-1")
		again := st.do("POST", "/projects/web/shell", `{"argv":["echo"]}`, "Idempotency-Key", "retry-1")
		is.Equal(first.status, http.StatusCreated)
		is.Equal(first.header.Get("Idempotency-Replayed"), "")
		is.Equal(again.status, http.StatusOK)
		is.Equal(again.header.Get("Idempotency-Replayed"), "true")
		is.Equal(data[client.Command](t, first).ID, data[client.Command](t, again).ID)

		other := st.do("POST", "/projects/web/shell", `{"argv":["fail"]}`, "Idempotency-Key", "retry-1")
		is.Equal(other.status, http.StatusConflict)
		is.Equal(other.code(), "CONFLICT")
	})

	t.Run("ABadIdempotencyKeyIsNamed", func(t *testing.T) {
		for _, headers := range [][]string{
			{"Idempotency-Key", "a", "Idempotency-Key", "b"},
			{"Idempotency-Key", strings.Repeat("x", 256)},
			{"Idempotency-Key", "a b"},
		} {
			is := is.New(t)
			a := st.do("POST", "/projects/web/shell", `{"argv":["echo"]}`, headers...)
			is.Equal(a.status, http.StatusBadRequest)
			is.Equal(a.field(), "Idempotency-Key")
		}
	})

	t.Run("CancelIsAcceptedAndIdempotent", func(t *testing.T) {
		is := is.New(t)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"sleep"}}, nil)
		is.NoErr(err)
		for range 2 {
			is.Equal(st.do("POST", "/projects/web/commands/"+cmd.ID+"/cancel", "").status, http.StatusAccepted)
		}
		end, err := c.Follow(t.Context(), "web", cmd.ID, 0, func([]client.Event) error { return nil })
		is.NoErr(err)
		is.Equal(end.State, client.Cancelled)
		is.Equal(st.do("POST", "/projects/web/commands/"+cmd.ID+"/cancel", `{"force":true}`).status, http.StatusAccepted)
		a := st.do("POST", "/projects/web/commands/"+cmd.ID+"/cancel", "{}")
		is.Equal(a.status, http.StatusAccepted) // over already
		cmd, err = c.Command(t.Context(), "web", cmd.ID)
		is.NoErr(err)
		is.Equal(cmd.State, client.Cancelled)
	})

	t.Run("APolicyRefusalNamesTheTokenAndItsColumn", func(t *testing.T) {
		is := is.New(t)
		a := st.do("POST", "/projects/web/shell", `{"command":"echo a; echo b"}`)
		is.Equal(a.status, http.StatusUnprocessableEntity)
		is.Equal(a.code(), "COMMAND_REJECTED")
		is.Equal(a.field(), "command")
		is.True(strings.Contains(a.body, `"column":7`))
	})

	t.Run("ListPagesNewestFirstAndFilters", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		var ids []string
		for _, id := range []string{"cmd-a1", "cmd-a2", "cmd-a3", "cmd-a4", "cmd-a5"} {
			st.command(id, "succeeded")
			ids = append([]string{id}, ids...)
		}
		st.command("cmd-a0", "failed")
		var seen []string
		opts := client.ListOptions{Limit: 2, States: []client.State{client.Succeeded, client.Lost}}
		for {
			page, err := c.Commands(t.Context(), "web", opts)
			is.NoErr(err)
			for _, cmd := range page.Commands {
				seen = append(seen, cmd.ID)
			}
			if page.NextCursor == "" {
				break
			}
			opts.Cursor = page.NextCursor
		}
		is.Equal(seen, ids)
		page, err := c.Commands(t.Context(), "web", client.ListOptions{Type: "git"})
		is.NoErr(err)
		is.Equal(len(page.Commands), 0)
	})

	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=201": "limit", "?limit=x": "limit", "?limit=": "limit", "?limit=1&limit=2": "limit",
		"?cursor=": "cursor", "?cursor=%00": "cursor", "?cursor=!!!": "cursor", "?cursor=Li4v": "cursor",
		"?state=done": "state", "?type=": "type", "?type=bash": "type", "?sort=asc": "sort", "?%zz": "query",
		"?api_key=" + adminKey: "api_key",
	} {
		t.Run("ABadParameterIsNamed"+query[:min(len(query), 12)], func(t *testing.T) {
			is := is.New(t)
			a := st.do("GET", "/projects/web/commands"+query, "")
			is.Equal(a.status, http.StatusBadRequest)
			is.Equal(a.code(), "INVALID_ARGUMENT")
			is.Equal(a.field(), field)
		})
	}
}
