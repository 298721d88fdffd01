package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/store/sqlite"
)

// newRealStand is a stand over real processes and a real SQLite file.
func newRealStand(t testing.TB) *stand {
	t.Helper()
	return newStand(t, func(up *setup) { realProcesses(t, up); realStore(t, up) })
}

func realStore(t testing.TB, up *setup) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "rdev.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	up.commands, up.broker = store.Commands(), store.Broker()
}

func realProcesses(t testing.TB, up *setup) {
	t.Helper()
	executor, err := local.New(local.Config{
		Dir: t.TempDir(), Targets: local.Folders(map[string]string{"web": t.TempDir()}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = executor.Close(context.Background()) })
	up.executor = executor
	up.policy = policy.Policy{Level: policy.Permissive, AllowShell: true}
}

// A recorder is a sink that checks what it is given.
type recorder struct {
	next   uint64
	stdout bytes.Buffer
	stderr bytes.Buffer
	gaps   []client.Gap
}

func (r *recorder) take(events []client.Event) error {
	for _, e := range events {
		if e.Gap != nil {
			r.gaps = append(r.gaps, *e.Gap)
			r.next = e.Seq + 1
			continue
		}
		if e.Seq != r.next {
			return fmt.Errorf("line %d came where %d was to come", e.Seq, r.next)
		}
		r.next++
		if e.Stream == client.Stderr {
			r.stderr.Write(e.Raw())
		} else {
			r.stdout.Write(e.Raw())
		}
	}
	return nil
}

// TestCutReader is the promise: whatever happens to the connections, a reader
// has each line once, with equal bytes.
func TestCutReader(t *testing.T) {
	is := is.New(t)
	const lines, cuts = 10_000, 200 // lines on each output
	st := newRealStand(t)
	// Bytes that are no UTF-8, quotes and CRs are among the lines.
	script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); printf '%%d "out\\\377\r\n' $i; printf '%%d err\t\n' $i >&2; done`, lines)
	cmd, err := st.client(adminKey, nil).RunShell(t.Context(), "web", client.Shell{Argv: []string{"sh", "-c", script}}, nil)
	is.NoErr(err)

	// The n-th connection is cut somewhere in what is left: on average the
	// reader gets a 200th part of it through each.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	proxy := faultproxy.New(t, st.addr, func(n int) faultproxy.Fault {
		if n >= cuts {
			return faultproxy.Fault{}
		}
		return faultproxy.Fault{CutAfter: 600 + random.Int64N(15_000)}
	})
	c := st.clientAt("http://"+proxy.Addr(), adminKey, nil)
	got := &recorder{next: 1}
	end, err := c.Follow(t.Context(), "web", cmd.ID, 0, got.take)
	is.NoErr(err)
	is.Equal(end.State, client.Succeeded)
	is.Equal(got.next, uint64(2*lines+1))
	is.Equal(len(got.gaps), 0)
	var stdout, stderr bytes.Buffer
	for i := 1; i <= lines; i++ {
		fmt.Fprintf(&stdout, "%d \"out\\\xff\r\n", i)
		fmt.Fprintf(&stderr, "%d err\t\n", i)
	}
	is.True(bytes.Equal(got.stdout.Bytes(), stdout.Bytes()))
	is.True(bytes.Equal(got.stderr.Bytes(), stderr.Bytes()))
	t.Logf("%d connections were cut", proxy.Cuts())
	is.True(proxy.Cuts() >= cuts)
}

func TestFollow(t *testing.T) {
	t.Run("GivesExactBytesOfBothOutputs", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"both"}}, nil)
		is.NoErr(err)
		got := &recorder{next: 1}
		end, err := c.Follow(t.Context(), "web", cmd.ID, 0, got.take)
		is.NoErr(err)
		is.Equal(*end.ExitCode, 0)
		is.Equal(got.stdout.String(), "one\n\xff\xfe\nno newline")
		is.Equal(got.stderr.String(), "two\n")
	})

	t.Run("TellsTheEndAgainToAReaderThatHasEverything", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"fail"}}, nil)
		is.NoErr(err)
		for _, after := range []uint64{0, 1, 2} {
			end, err := c.Follow(t.Context(), "web", cmd.ID, after, (&recorder{next: after + 1}).take)
			is.NoErr(err)
			is.Equal(end.State, client.Failed)
			is.Equal(*end.ExitCode, 3)
		}
	})

	t.Run("ACommandWithoutAnExitCodeSaysWhy", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"missing"}}, nil)
		is.NoErr(err)
		end, err := c.Follow(t.Context(), "web", cmd.ID, 0, (&recorder{next: 1}).take)
		is.NoErr(err)
		is.True(end.ExitCode == nil)
		is.Equal(end.Code, client.CommandNotFound)
	})

	t.Run("TellsAGap", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("gap", rdev.StateRunning)
		st.publish("gap", 1, 5)
		st.complete("gap", 6)
		st.trim("gap", 3)
		got := &recorder{next: 1}
		_, err := st.client(adminKey, nil).Follow(t.Context(), "web", "gap", 0, got.take)
		is.NoErr(err)
		is.Equal(got.gaps, []client.Gap{{From: 1, To: 3, Reason: client.GapRetention}})
		is.Equal(got.next, uint64(6))
	})

	t.Run("AnErrorOfTheSinkEndsIt", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"sleep"}}, nil)
		is.NoErr(err)
		enough := errors.New("enough")
		_, err = c.Follow(t.Context(), "web", cmd.ID, 0, func([]client.Event) error { return enough })
		is.True(errors.Is(err, enough))
	})

	t.Run("ARefusalEndsItAtOnce", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		_, err := st.client(adminKey, nil).Follow(t.Context(), "web", "nobody", 0, (&recorder{next: 1}).take)
		is.True(errors.Is(err, client.UnknownCommand))
		_, err = st.client("wrong", nil).Follow(t.Context(), "web", "nobody", 0, (&recorder{next: 1}).take)
		is.True(errors.Is(err, client.Unauthenticated))
		var answer *client.Error
		is.True(errors.As(err, &answer))
		is.Equal(answer.Status, http.StatusUnauthorized)
		is.True(answer.RequestID != "")
	})

	t.Run("ASilentConnectionIsLeft", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		st.command("stalled", rdev.StateRunning)
		st.publish("stalled", 1, 5)
		st.complete("stalled", 6)
		proxy := faultproxy.New(t, st.addr, func(n int) faultproxy.Fault {
			if n == 0 {
				return faultproxy.Fault{StallAfter: 700} // in the middle of the lines
			}
			return faultproxy.Fault{}
		})
		c := st.clientAt("http://"+proxy.Addr(), adminKey, &client.Options{Heartbeat: 50 * time.Millisecond})
		got := &recorder{next: 1}
		_, err := c.Follow(t.Context(), "web", "stalled", 0, got.take)
		is.NoErr(err)
		is.Equal(got.next, uint64(6))
	})

	t.Run("AServerThatIsGoneIsGivenUpInTime", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		proxy := faultproxy.New(t, st.addr, func(int) faultproxy.Fault { return faultproxy.Fault{Refuse: true} })
		c := st.clientAt("http://"+proxy.Addr(), adminKey, &client.Options{ReconnectTimeout: 200 * time.Millisecond})
		_, err := c.Follow(t.Context(), "web", "any", 0, (&recorder{next: 1}).take)
		is.True(err != nil)
	})

	t.Run("AResponseThatTheServerEndsIsGoneOnWithAfterItsRetry", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, func(up *setup) { up.config.MaxStreamAge = 30 * time.Millisecond })
		st.command("aged", rdev.StateRunning)
		st.publish("aged", 1, 5)
		got := &recorder{next: 1}
		began := time.Now()
		_, err := st.client(adminKey, nil).Follow(t.Context(), "web", "aged", 0, func(events []client.Event) error {
			if err := got.take(events); err != nil {
				return err
			}
			if got.next == 6 {
				go func() {
					time.Sleep(100 * time.Millisecond) // past the first response
					st.publish("aged", 6, 7)
					st.complete("aged", 8)
				}()
			}
			return nil
		})
		is.NoErr(err)
		is.Equal(got.next, uint64(8))
		is.True(time.Since(began) >= time.Second) // the least that a retry field says
	})
}

// TestRealCommand goes all the way once: HTTP, a process, SQLite, the stream.
func TestRealCommand(t *testing.T) {
	is := is.New(t)
	st := newRealStand(t)
	key := st.key([]auth.Scope{auth.ScopeCommandsShell, auth.ScopeShellUnrestricted, auth.ScopeStreamsRead, auth.ScopeCommandsRead}, "web")
	c := st.client(key, nil)
	cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"sh", "-c", `echo "$WORD"; echo bad >&2; exit 7`}, Env: map[string]string{"WORD": "hello"}}, nil)
	is.NoErr(err)
	got := &recorder{next: 1}
	end, err := c.Follow(t.Context(), "web", cmd.ID, 0, got.take)
	is.NoErr(err)
	is.Equal(*end.ExitCode, 7)
	is.Equal(got.stdout.String(), "hello\n")
	is.Equal(got.stderr.String(), "bad\n")
	record, err := c.Command(t.Context(), "web", cmd.ID)
	is.NoErr(err)
	is.Equal(record.State, client.Failed)
	is.Equal(record.Result.Lines, uint64(2))
}
