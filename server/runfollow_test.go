package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream/sse"
)

// TestRunAndFollow: a POST that accepts a stream is answered with the events.
func TestRunAndFollow(t *testing.T) {
	const accept, stream = "Accept", "text/event-stream"
	st := newStand(t, func(up *setup) { up.config.StreamsPerKey = 1 })

	t.Run("TheAnswerIsTheStreamThatGETGives", func(t *testing.T) {
		is := is.New(t)
		a := st.in(t).do("POST", "/projects/web/shell", `{"argv":["both"]}`, accept, stream)
		is.Equal(a.status, http.StatusCreated)
		is.Equal(a.header.Get("Content-Type"), sse.ContentType)
		is.Equal(a.header.Get("Rdev-Resume"), "fresh")
		cmd := data[client.Command](t, st.in(t).do("GET", a.header.Get("Location"), ""))
		is.Equal(cmd.State, client.Succeeded)
		same := st.in(t).do("GET", cmd.EventsURL, "")
		is.Equal(events(t, a.body), events(t, same.body))
		is.True(len(events(t, a.body)) > 4)
	})

	t.Run("ARepeatedOneReadsTheFirstCommand", func(t *testing.T) {
		is := is.New(t)
		first := st.in(t).do("POST", "/projects/web/shell", `{"argv":["both"]}`, "Idempotency-Key", "again", accept, stream)
		again := st.in(t).do("POST", "/projects/web/shell", `{"argv":["both"]}`, "Idempotency-Key", "again", accept, stream)
		is.Equal(again.status, http.StatusOK)
		is.Equal(again.header.Get("Idempotency-Replayed"), "true")
		is.Equal(again.header.Get("Location"), first.header.Get("Location"))
		is.Equal(events(t, again.body), events(t, first.body))
	})

	t.Run("OnlyWhoNamesTheTypeGetsIt", func(t *testing.T) {
		for _, accepted := range []string{"", "*/*", "text/*", "application/json", "text/event-stream;q=0"} {
			is := is.New(t)
			a := st.in(t).do("POST", "/projects/web/shell", `{"argv":["true"]}`, accept, accepted)
			is.Equal(a.status, http.StatusCreated)
			is.True(strings.HasPrefix(a.header.Get("Content-Type"), "application/json"))
		}
	})

	t.Run("WhatCannotBeFollowedIsNotStarted", func(t *testing.T) {
		is := is.New(t)
		before := ids(t, st)
		blind := st.key([]auth.Scope{auth.ScopeCommandsShell}, "web")
		a := st.in(t).do("POST", "/projects/web/shell", `{"argv":["true"]}`, accept, stream, "Authorization", "Bearer "+blind)
		is.Equal(a.status, http.StatusForbidden)
		is.True(strings.Contains(a.body, "streams:read"))

		a = st.in(t).do("POST", "/projects/web/shell", `{"argv":["true"]}`, accept, stream, "Last-Event-ID", "cmd-x:7")
		is.Equal(a.status, http.StatusBadRequest)
		is.Equal(a.field(), "Last-Event-ID")

		key := "Bearer " + st.key([]auth.Scope{auth.ScopeCommandsShell, auth.ScopeStreamsRead}, "web")
		open := st.in(t).open("POST", "/projects/web/shell", `{"argv":["sleep"]}`, accept, stream, "Authorization", key)
		defer open.Body.Close()
		is.Equal(open.StatusCode, http.StatusCreated)
		a = st.in(t).do("POST", "/projects/web/shell", `{"argv":["true"]}`, accept, stream, "Authorization", key)
		is.Equal(a.status, http.StatusTooManyRequests)
		is.Equal(a.code(), "TOO_MANY_STREAMS")
		is.Equal(len(ids(t, st)), len(before)+1) // the one that sleeps
	})

	t.Run("ARefusedOneGivesItsStreamBack", func(t *testing.T) {
		is := is.New(t)
		key := "Bearer " + st.key([]auth.Scope{auth.ScopeCommandsShell, auth.ScopeStreamsRead}, "web")
		for range 3 {
			a := st.in(t).do("POST", "/projects/web/shell", `{"command":"a; b"}`, accept, stream, "Authorization", key)
			is.Equal(a.code(), "COMMAND_REJECTED")
			is.Equal(a.header.Get("Content-Type"), "application/json")
		}
		is.Equal(st.in(t).do("POST", "/projects/web/shell", `{"argv":["true"]}`, accept, stream, "Authorization", key).status, http.StatusCreated)
	})

	t.Run("WhoHangsUpLeavesTheCommandRunning", func(t *testing.T) {
		is := is.New(t)
		resp := st.in(t).open("POST", "/projects/web/shell", `{"argv":["sleep"]}`, accept, stream)
		decoder := sse.NewDecoder(resp.Body, nil)
		for {
			e, err := decoder.Next()
			is.NoErr(err)
			if e.Name == "output" {
				break
			}
		}
		is.NoErr(resp.Body.Close())
		cmd := data[client.Command](t, st.in(t).do("GET", resp.Header.Get("Location"), ""))
		is.Equal(cmd.State, client.Running)
	})
}

// events returns the events of a body, each as a line.
func events(t *testing.T, body string) (all []string) {
	t.Helper()
	decoder := sse.NewDecoder(strings.NewReader(body), nil)
	for {
		e, err := decoder.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != "connected" { // which says how far the stream was
			all = append(all, e.ID+" "+e.Name+" "+string(e.Data))
		}
	}
}

func ids(t *testing.T, st *stand) (all []string) {
	t.Helper()
	page, err := st.client(adminKey, nil).Commands(t.Context(), "web", client.ListOptions{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range page.Commands {
		all = append(all, cmd.ID)
	}
	return all
}
