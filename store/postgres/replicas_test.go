package postgres_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/stream"
)

// A replica is a Service over a store of its own on the shared database. All
// replicas of a test reach the same commands, as they would in pods.
type replica struct {
	*rdev.Service
	store *postgres.Store

	fallen bool
}

func newReplica(t *testing.T, dsn string, executor exec.Executor) *replica {
	t.Helper()
	s := open(t, postgres.Options{DSN: dsn, OnError: func(error) {}})
	svc, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Commands: s.Commands(), Broker: s.Broker(), Keys: s.Keys(),
		Projects:     rdev.FixedProjects(rdev.Project{Name: "app"}),
		LeaveRunning: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Service: svc, store: s}
	t.Cleanup(func() { r.leave(t) })
	return r
}

// leave closes the service, which hands its commands over.
func (r *replica) leave(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if r.fallen {
		cancel() // there is nothing to wait for
	}
	if err := r.Close(ctx); err != nil && !r.fallen {
		t.Error(err)
	}
}

// fall stops the replica's lease keeping and publishing without handing
// anything over, as death does: its store is taken from under it.
func (r *replica) fall(t *testing.T) {
	t.Helper()
	r.fallen = true
	if err := r.store.Fall(); err != nil {
		t.Error(err)
	}
}

func counting(lines int, pause time.Duration) exectest.Script {
	script := exectest.Script{}
	for i := range lines {
		script.Steps = append(script.Steps, exectest.Step{Delay: pause, Text: fmt.Sprintf("line %d\n", i+1)})
	}
	return script
}

func start(t *testing.T, r *replica, program string) rdev.Command {
	t.Helper()
	cmd, _, err := r.Run(t.Context(), auth.Admin(), rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Argv: []string{program}}}})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// read reads a stream through a replica from after on, up to limit events (0:
// to the end), and holds the numbers dense.
func read(ctx context.Context, r *replica, id string, after uint64, limit int) (events []stream.Event, ended bool, err error) {
	sub, _, err := r.Subscribe(ctx, auth.Admin(), "app", id, after)
	if err != nil {
		return nil, false, err
	}
	defer sub.Close()
	for limit == 0 || len(events) < limit {
		found, err := sub.Next(ctx)
		if err == io.EOF {
			return events, true, nil
		}
		if err != nil {
			return events, false, err
		}
		for _, e := range found {
			if e.Seq != after+uint64(len(events))+1 {
				return nil, false, fmt.Errorf("got %d after %d", e.Seq, after+uint64(len(events)))
			}
			events = append(events, e)
		}
	}
	return events, false, nil
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAnyReplicaServesAnyStream(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(200, time.Millisecond)}}
	a, b := newReplica(t, dsn, pods), newReplica(t, dsn, pods)
	cmd := start(t, a, "count")
	fromB, ended, err := read(within(t), b, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	is.Equal(len(fromB), 201) // the lines and the terminal event
	fromA, _, err := read(within(t), a, cmd.ID, 0, 0)
	is.NoErr(err)
	for i := range fromA {
		is.Equal(string(fromA[i].Data), string(fromB[i].Data)) // the same bytes
	}
}

func TestReadersThatHopLoseNothing(t *testing.T) {
	const commands, lines = 5, 1000
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(lines, 100*time.Microsecond)}}
	replicas := []*replica{newReplica(t, dsn, pods), newReplica(t, dsn, pods), newReplica(t, dsn, pods)}
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range commands {
		cmd := start(t, replicas[i%len(replicas)], "count")
		wg.Go(func() {
			var at uint64
			for hop := 0; ; hop++ {
				events, ended, err := read(ctx, replicas[hop%len(replicas)], cmd.ID, at, 50)
				if err != nil {
					t.Error(err)
					return
				}
				at += uint64(len(events))
				if ended {
					break
				}
			}
			if at != lines+1 {
				t.Errorf("%s: %d events", cmd.ID, at)
			}
		})
	}
	wg.Wait()
}

func TestCommandOfAFallenReplicaGoesOnElsewhere(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(300, 10*time.Millisecond)}}
	a, b := newReplica(t, dsn, pods), newReplica(t, dsn, pods)
	cmd := start(t, a, "count")
	_, _, err := read(within(t), b, cmd.ID, 0, 20)
	is.NoErr(err) // it runs and is seen elsewhere
	a.fall(t)
	events, ended, err := read(within(t), b, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	is.Equal(len(events), 301) // each once
	got, err := b.Get(t.Context(), auth.Admin(), "app", cmd.ID)
	for err == nil && !got.State.Terminal() { // the record follows the stream
		got, err = b.Get(t.Context(), auth.Admin(), "app", cmd.ID)
	}
	is.NoErr(err)
	is.Equal(got.State, rdev.StateSucceeded)
}

func TestCancelThroughAnyReplica(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"sleep": {Steps: []exectest.Step{{Text: "begin\n"}, {Delay: time.Hour}}}}}
	a, b := newReplica(t, dsn, pods), newReplica(t, dsn, pods)
	cmd := start(t, a, "sleep")
	_, err := b.Cancel(t.Context(), auth.Admin(), "app", cmd.ID)
	is.NoErr(err)
	events, ended, err := read(within(t), b, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	is.True(strings.Contains(string(events[len(events)-1].Data), `"state":"canceled"`))
}

func TestLeavingReplicaHandsOverAtOnce(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{"count": counting(300, 10*time.Millisecond)}}
	a, b := newReplica(t, dsn, pods), newReplica(t, dsn, pods)
	cmd := start(t, a, "count")
	_, _, err := read(within(t), b, cmd.ID, 0, 5)
	is.NoErr(err)
	a.leave(t)
	events, ended, err := read(within(t), b, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	is.Equal(len(events), 301)
}

// elsewhere is an executor whose commands no other one can reach, like those of
// another machine.
type elsewhere struct {
	*exectest.Fake
	instance string
}

func (e elsewhere) Locate(context.Context, string) (exec.Target, error) {
	return exec.Target{Name: "app", Instance: e.instance}, nil
}

func (e elsewhere) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if cmd.Target.Instance != e.instance {
		return exec.Result{}, fmt.Errorf("another machine: %w", exec.ErrLost)
	}
	cmd.Target.Instance = ""
	return e.Fake.Execute(ctx, cmd, sink)
}

func TestUnreachableCommandOfAFallenReplicaIsLostOnce(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	script := map[string]exectest.Script{"sleep": {Steps: []exectest.Step{{Text: "begin\n"}, {Delay: time.Hour}}}}
	machine := &exectest.Fake{Programs: script}
	a := newReplica(t, dsn, elsewhere{machine, "a"})
	b := newReplica(t, dsn, elsewhere{&exectest.Fake{Programs: script}, "b"})
	c := newReplica(t, dsn, elsewhere{&exectest.Fake{Programs: script}, "c"})
	cmd := start(t, a, "sleep")
	t.Cleanup(func() { _ = machine.Cancel(context.Background(), exec.Target{Name: "app"}, cmd.ID) })
	_, _, err := read(within(t), b, cmd.ID, 0, 1)
	is.NoErr(err)
	a.fall(t)
	for _, r := range []*replica{b, c} {
		events, ended, err := read(within(t), r, cmd.ID, 0, 0)
		is.NoErr(err)
		is.True(ended)
		is.Equal(len(events), 2) // its line, and one end
		is.True(strings.Contains(string(events[1].Data), `"COMMAND_LOST"`))
	}
}
