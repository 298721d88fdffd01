package postgres_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/store/postgres"
)

// A site is a replica with its HTTP server.
type site struct {
	*rdev.Service
	store *postgres.Store
	url   string
}

func newSite(t *testing.T, opts postgres.Options, pods *exectest.Fake) *site {
	t.Helper()
	is := is.New(t)
	opts.OnError = func(error) {}
	s := &site{store: open(t, opts)}
	var err error
	s.Service, err = rdev.New(t.Context(), rdev.Config{
		Executor: pods, Commands: s.store.Commands(), Broker: s.store.Broker(), Keys: s.store.Keys(),
		Projects: rdev.FixedProjects(rdev.Project{Name: "app"}),
	})
	is.NoErr(err)
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: s.store.Keys()})
	is.NoErr(err)
	handler, err := server.New(s.Service, authn, server.Config{Heartbeat: time.Hour}) // it has no part in this
	is.NoErr(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	s.url = "http://" + listener.Addr().String()
	web := handler.NewHTTPServer("")
	served := make(chan struct{})
	go func() { defer close(served); _ = web.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, end := range []func(context.Context) error{s.Close, handler.Drain, web.Shutdown, authn.Close} {
			if err := end(ctx); err != nil {
				t.Error(err)
			}
		}
		<-served
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// A held key is one with a command that runs on a site and a stream of it there.
type held struct {
	id      string
	command rdev.Command
	body    io.ReadCloser
}

func (s *site) hold(t *testing.T) held {
	t.Helper()
	is := is.New(t)
	key, secret, err := s.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
		Name: "k", Scopes: []auth.Scope{auth.ScopeCommandsShell, auth.ScopeStreamsRead}, Projects: []auth.Pattern{"app"},
	})
	is.NoErr(err)
	caller, err := key.Principal(time.Now(), netip.Addr{})
	is.NoErr(err)
	cmd, _, err := s.Run(t.Context(), caller, rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"sleep"}}}})
	is.NoErr(err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/projects/app/events?stream_id="+cmd.ID, nil)
	is.NoErr(err)
	req.Header.Set("Authorization", "Bearer "+secret.Reveal())
	resp, err := http.DefaultClient.Do(req)
	is.NoErr(err)
	is.Equal(resp.StatusCode, http.StatusOK)
	t.Cleanup(func() { _ = resp.Body.Close() })
	// The output has arrived, so the stream is one that waits.
	var seen bytes.Buffer
	for b := make([]byte, 4096); !strings.Contains(seen.String(), "begin"); {
		n, err := resp.Body.Read(b)
		seen.Write(b[:n])
		is.NoErr(err)
	}
	return held{key.ID, cmd, resp.Body}
}

// ended waits for the end of the stream and tells how long after began it came.
func (h held) ended(t *testing.T, began time.Time) time.Duration {
	rest, err := io.ReadAll(h.body)
	took := time.Since(began)
	// The command ends with the key as well: either of them may be told first.
	if text := string(rest); err != nil || !strings.Contains(text, "event: denied") && !strings.Contains(text, `"state":"canceled"`) {
		t.Errorf("the stream of key %s ended with %q, %v", h.id, text, err)
	}
	return took
}

func (h held) canceled(t *testing.T, s *site) {
	t.Helper()
	eventually(t, "the command is cancelled", func() bool {
		cmd, err := s.Get(t.Context(), auth.Admin(), "app", h.command.ID)
		return err == nil && cmd.State == rdev.StateCanceled
	})
}

func sleeper() *exectest.Fake {
	return &exectest.Fake{Programs: map[string]exectest.Script{"sleep": {Steps: []exectest.Step{{Text: "begin\n"}, {Delay: time.Hour}}}}}
}

// TestARevokedKeyEndsEverythingOnOtherReplicas: with LISTEN at once, which the
// poll alone (auth.DefaultWatchEvery) could not bring about.
func TestARevokedKeyEndsEverythingOnOtherReplicas(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := sleeper()
	a, b := newSite(t, postgres.Options{DSN: dsn}, pods), newSite(t, postgres.Options{DSN: dsn}, pods)
	wokenBy(t, b.store, postgres.WakeupsNotify)
	const tries = 100
	var took []time.Duration
	for range tries {
		h := b.hold(t)
		began := time.Now()
		_, err := a.RevokeKey(t.Context(), auth.Admin(), h.id)
		is.NoErr(err)
		took = append(took, h.ended(t, began))
		h.canceled(t, a)
	}
	slices.Sort(took)
	t.Logf("streams on another replica ended after %v (median), %v (99th of %d), %v (longest)", took[tries/2], took[tries-1-tries/100], tries, took[tries-1])
	is.True(took[tries/2] < time.Second)
	is.True(took[tries-1] < 6*time.Second)
}

// TestARevokedKeyEndsEverythingWithoutListen: the connection for LISTEN is cut
// and refused from then on, also while a key is narrowed on the other side.
func TestARevokedKeyEndsEverythingWithoutListen(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	var refuse atomic.Bool
	proxy := faultproxy.New(t, host(t, dsn), func(int) faultproxy.Fault { return faultproxy.Fault{Refuse: refuse.Load()} })
	pods := sleeper()
	a := newSite(t, postgres.Options{DSN: dsn}, pods)
	b := newSite(t, postgres.Options{DSN: dsn, ListenDSN: via(t, dsn, proxy.Addr())}, pods)
	wokenBy(t, b.store, postgres.WakeupsNotify)
	var all []held
	for range 10 {
		all = append(all, b.hold(t))
	}
	refuse.Store(true)
	proxy.CutAll()
	wokenBy(t, b.store, postgres.WakeupsPoll)
	var wait sync.WaitGroup
	for i, h := range all {
		var err error
		began := time.Now()
		if i%2 == 0 {
			_, err = a.RevokeKey(t.Context(), auth.Admin(), h.id)
		} else {
			_, err = a.NarrowKey(t.Context(), auth.Admin(), h.id, rdev.KeyChange{Scopes: []auth.Scope{auth.ScopeCommandsShell}})
		}
		is.NoErr(err)
		wait.Go(func() {
			if took := h.ended(t, began); took > 6*time.Second {
				t.Errorf("without LISTEN a stream ended after %v", took)
			}
		})
	}
	wait.Wait()
	for i, h := range all {
		if i%2 == 0 {
			h.canceled(t, a)
			continue
		}
		cmd, err := a.Get(t.Context(), auth.Admin(), "app", h.command.ID)
		is.NoErr(err)
		is.Equal(cmd.State, rdev.StateRunning) // its scope for commands is still there
	}
}

// TestAReplicaThatTakesOverEndsTheCommandsOfARevokedKey: whoever runs the
// command then does.
func TestAReplicaThatTakesOverEndsTheCommandsOfARevokedKey(t *testing.T) {
	is := is.New(t)
	dsn := pgtest.New(t, postgres.Migrate)
	pods := sleeper()
	a := newReplica(t, dsn, pods)
	key, _, err := a.CreateKey(t.Context(), auth.Admin(), rdev.KeySpec{
		Name: "k", Scopes: []auth.Scope{auth.ScopeCommandsShell}, Projects: []auth.Pattern{"app"},
	})
	is.NoErr(err)
	caller, err := key.Principal(time.Now(), netip.Addr{})
	is.NoErr(err)
	cmd, _, err := a.Run(t.Context(), caller, rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"sleep"}}}})
	is.NoErr(err)
	a.fall(t)
	other := open(t, postgres.Options{DSN: dsn})
	_, err = other.Keys().Update(t.Context(), key.ID, func(k *auth.Key) error { k.RevokedAt = time.Now(); return nil })
	is.NoErr(err)
	b := newReplica(t, dsn, pods)
	events, ended, err := read(within(t), b, cmd.ID, 0, 0)
	is.NoErr(err)
	is.True(ended)
	is.True(strings.Contains(string(events[len(events)-1].Data), `"state":"canceled"`))
}
