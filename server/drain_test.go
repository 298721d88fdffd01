package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

const (
	drainReaders = 500
	drainLines   = 300
)

// What outlives a server: the ports.
type ports struct {
	executor exec.Executor
	commands rdev.Commands
	broker   stream.Broker
	keys     auth.KeyStore
	traces   trace.TracerProvider
}

// A running is a server over ports, on a listener of its own.
type running struct {
	url     string
	service *rdev.Service
	handler *server.Server
	web     *http.Server
	done    chan struct{}
}

func (p ports) serve(t *testing.T, leave bool) *running {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: p.executor, Projects: rdev.FixedProjects(rdev.Project{Name: "web"}),
		Commands: p.commands, Broker: p.broker, Keys: p.keys, LeaveRunning: leave, TracerProvider: p.traces,
	})
	must(err)
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: p.keys, AdminKey: auth.NewSecret(adminKey)})
	must(err)
	t.Cleanup(func() { _ = authn.Close(context.Background()) })
	handler, err := server.New(service, authn, server.Config{TracerProvider: p.traces})
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	r := &running{"http://" + listener.Addr().String(), service, handler, handler.NewHTTPServer(""), make(chan struct{})}
	go func() { defer close(r.done); _ = r.web.Serve(listener) }()
	t.Cleanup(func() { _ = service.Close(context.Background()); _ = r.web.Close(); <-r.done })
	return r
}

// stop is what a program does on SIGTERM.
func (r *running) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.handler.Leave()
	if err := errors.Join(r.service.Close(ctx), r.handler.Drain(ctx), r.web.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
}

// A tally is what one reader has got, over all of its connections.
type tally struct {
	lines uint64 // in order, without a hole
	last  string // event id
	end   string // name of the terminal event
	retry time.Duration
}

// read reads a stream until its body ends. begun is called at its first event.
func (y *tally) read(ctx context.Context, url, id string, begun func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/projects/web/events?stream_id="+id, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if y.last != "" {
		req.Header.Set("Last-Event-ID", y.last)
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
			y.last = events.LastEventID()
			y.retry, _ = events.Retry()
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
			if seq, err := strconv.ParseUint(number, 10, 64); err != nil || seq != y.lines+1 {
				return fmt.Errorf("event %s after line %d", e.ID, y.lines)
			}
			y.lines++
		case "complete", "error":
			y.end = e.Name
		case "gap":
			return fmt.Errorf("a gap: %s", e.Data)
		}
	}
}

// readAll has every reader read until its body ends, and waits in between until
// all have begun, and meanwhile has done.
func readAll(t *testing.T, readers []tally, url, id string, meanwhile func()) {
	t.Helper()
	begun, ended := make(chan struct{}, len(readers)), make(chan error, len(readers))
	for i := range readers {
		go func() { ended <- readers[i].read(t.Context(), url, id, func() { begun <- struct{}{} }) }()
	}
	for range readers {
		select {
		case <-begun:
		case <-time.After(time.Minute):
			t.Fatal("not all readers have begun")
		}
	}
	meanwhile()
	for range readers {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestStopWithManyReaders stops a server on which 500 readers follow a command
// that runs.
func TestStopWithManyReaders(t *testing.T) {
	setUp := func() ports {
		script := exectest.Script{}
		for i := range drainLines {
			script.Steps = append(script.Steps, exectest.Step{Delay: 10 * time.Millisecond, Text: fmt.Sprintf("line %d\n", i+1)})
		}
		broker := stream.NewMemory(stream.MemoryConfig{})
		t.Cleanup(broker.Shutdown)
		return ports{&exectest.Fake{Programs: map[string]exectest.Script{"long": script}}, rdev.NewMemoryCommands(), broker, auth.NewMemory(), nil}
	}
	start := func(t *testing.T, r *running) string {
		t.Helper()
		cmd, _, err := r.service.Run(t.Context(), auth.Admin(), rdev.Request{
			Project: "web", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"long"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return cmd.ID
	}

	t.Run("LeavingReadersComeBackSpreadAndMissNothing", func(t *testing.T) {
		is := is.New(t)
		p := setUp()
		first := p.serve(t, true)
		id := start(t, first)
		readers := make([]tally, drainReaders)
		readAll(t, readers, first.url, id, func() { first.stop(t) })

		waits := map[time.Duration]bool{}
		for _, reader := range readers {
			is.Equal(reader.end, "") // the command goes on
			is.True(reader.retry >= 2*time.Second && reader.retry < 6*time.Second)
			waits[reader.retry/(100*time.Millisecond)] = true
		}
		is.True(len(waits) > 20) // they do not come back at once

		second := p.serve(t, true)
		readAll(t, readers, second.url, id, func() {})
		for _, reader := range readers {
			is.Equal(reader.lines, uint64(drainLines))
			is.Equal(reader.end, "complete")
		}
		cmd, err := second.service.Get(t.Context(), auth.Admin(), "web", id)
		is.NoErr(err)
		is.Equal(cmd.State, rdev.StateSucceeded)
	})
	t.Run("CancellingReadersSeeTheEnd", func(t *testing.T) {
		is := is.New(t)
		p := setUp()
		only := p.serve(t, false)
		id := start(t, only)
		readers := make([]tally, drainReaders)
		readAll(t, readers, only.url, id, func() { only.stop(t) })
		for _, reader := range readers {
			is.Equal(reader.end, "complete")
			is.Equal(reader.lines, readers[0].lines) // all that there was
		}
		cmd, err := p.commands.Get(t.Context(), id)
		is.NoErr(err)
		is.Equal(cmd.State, rdev.StateCanceled)
		is.Equal(cmd.Result.Lines, readers[0].lines)
	})
}
