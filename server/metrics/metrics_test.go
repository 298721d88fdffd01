package metrics_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/auth/authtest"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/rdev/rdevtest"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/server/metrics"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

const adminKey = "test-admin-key-0123456789-0123456789"

// scrape returns what Prometheus would get.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// wire is a server whose parts are in memory and counted.
func wire(t *testing.T) (m *metrics.Metrics, service *rdev.Service, broker *stream.Memory, url string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m = metrics.New()
	broker = stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(broker.Shutdown)
	keys := m.Keys(auth.NewMemory())
	fake := &exectest.Fake{Targets: []string{"web", "small"}, Programs: map[string]exectest.Script{
		"echo":  exectest.Lines("hi"),
		"sleep": {Steps: []exectest.Step{{Text: "begun\n"}, {Delay: time.Hour}}},
	}}
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: m.Executor(fake), Projects: rdev.FixedProjects(rdev.Project{Name: "web"}, rdev.Project{Name: "small", Limits: rdev.Limits{Commands: 1}}),
		Commands: m.Commands(rdev.NewMemoryCommands()), Broker: m.Broker(broker), Keys: keys,
	})
	must(err)
	t.Cleanup(func() { _ = service.Close(context.Background()) })
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: keys, AdminKey: auth.NewSecret(adminKey)})
	must(err)
	t.Cleanup(func() { _ = authn.Close(context.Background()) })
	handler, err := server.New(service, authn, server.Config{Observer: m})
	must(err)
	m.Streams(handler.OpenStreams)
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return m, service, broker, listener.URL
}

func ask(t *testing.T, method, url, body, key string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestMetrics(t *testing.T) {
	m, service, broker, url := wire(t)
	run := func(argv ...string) rdev.Command {
		t.Helper()
		cmd, _, err := service.Run(t.Context(), auth.Admin(), rdev.Request{Project: "web", Request: policy.Request{Shell: &policy.Shell{Argv: argv}}})
		if err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	has := func(t *testing.T, want ...string) {
		t.Helper()
		var text string
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			text = scrape(t, m)
			missing := false
			for _, line := range want {
				missing = missing || !strings.Contains(text, line)
			}
			if !missing {
				return
			}
		}
		t.Fatalf("not there: %q\nin %s", want, text)
	}

	t.Run("CommandsAreCountedOnceWithTheirOutput", func(t *testing.T) {
		is := is.New(t)
		cmd := run("echo", "hi")
		resp := ask(t, http.MethodGet, url+"/projects/web/events?stream_id="+cmd.ID, "", adminKey)
		_, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		has(t,
			`rdev_commands_total{project="web",status="succeeded",type="shell"} 1`,
			`rdev_commands_total{project="web",status="lost",type="shell"} 0`,
			`rdev_command_duration_seconds_count{project="web",type="shell"} 1`,
			`rdev_output_bytes_total{project="web",stream="stdout"} 3`,
			`rdev_events_published_total 2`,
			`rdev_command_first_line_seconds_count 1`,
			`rdev_stream_duration_seconds_count 1`,
			`rdev_commands_running{project="web"} 0`,
			`rdev_store_duration_seconds_count{operation="insert",store="commands"} 1`,
		)
	})
	t.Run("StreamsAndRunningCommandsAreCountedWhileTheyLast", func(t *testing.T) {
		cmd := run("sleep", "1")
		ask(t, http.MethodGet, url+"/projects/web/events?stream_id="+cmd.ID, "", adminKey)
		has(t, `rdev_active_streams{project="web"} 1`, `rdev_commands_running{project="web"} 1`)
		_, err := service.Cancel(t.Context(), auth.Admin(), "web", cmd.ID)
		is.New(t).NoErr(err)
		has(t, `rdev_commands_total{project="web",status="canceled",type="shell"} 1`, `rdev_commands_running{project="web"} 0`)
	})
	t.Run("RefusalsAreCountedByReason", func(t *testing.T) {
		unknown := auth.FormatKey(auth.NewKey()).Reveal()
		ask(t, http.MethodGet, url+"/projects", "", "")
		ask(t, http.MethodGet, url+"/projects", "", "nonsense")
		ask(t, http.MethodGet, url+"/projects", "", unknown)
		ask(t, http.MethodPost, url+"/projects/web/shell", `{"command":"echo hi | cat"}`, adminKey)
		has(t,
			`rdev_auth_failures_total{reason="absent"} 1`,
			`rdev_auth_failures_total{reason="malformed"} 1`,
			`rdev_auth_failures_total{reason="unknown"} 1`,
			`rdev_policy_refusals_total{endpoint="/projects/:project/shell",rule="shell.operator"} 1`,
			`rdev_api_errors_total{code="COMMAND_REJECTED",endpoint="/projects/:project/shell"} 1`,
			`rdev_api_request_duration_seconds_count{endpoint="/projects",method="GET",status="401"} 3`,
		)
	})
	t.Run("CallersMakeNoLabels", func(t *testing.T) {
		is := is.New(t)
		ask(t, http.MethodGet, url+"/projects/made-up-name", "", adminKey)
		ask(t, http.MethodGet, url+"/made-up-path", "", adminKey)
		ask(t, "MADEUPMETHOD", url+"/projects", "", adminKey)
		has(t, `endpoint="none",method="GET",status="404"`, `method="other"`)
		text := strings.ToLower(scrape(t, m))
		is.True(!strings.Contains(text, "made-up"))
		is.True(!strings.Contains(text, "madeupmethod"))
	})
	t.Run("LimitsAreCounted", func(t *testing.T) {
		is := is.New(t)
		for _, status := range []int{http.StatusCreated, http.StatusTooManyRequests} {
			is.Equal(ask(t, http.MethodPost, url+"/projects/small/shell", `{"argv":["sleep","3"]}`, adminKey).StatusCode, status)
		}
		has(t, `rdev_limit_refusals_total{limit="project_commands"} 1`)
		for _, limit := range []rdev.Limit{server.LimitRequests, server.LimitStreams, server.LimitStreams} {
			m.Answered(server.Answer{Method: "GET", Status: 429, Limit: limit})
		}
		m.Answered(server.Answer{Method: "POST", Status: 429, Code: rdev.CodeTooManyCommands, Limit: rdev.LimitKeyCommands})
		has(t,
			`rdev_limit_refusals_total{limit="requests"} 1`,
			`rdev_limit_refusals_total{limit="streams"} 2`,
			`rdev_limit_refusals_total{limit="key_commands"} 1`,
			`rdev_limit_refusals_total{limit="queue"} 0`,
		)
	})
	t.Run("ShimsAreCounted", func(t *testing.T) {
		var observer kube.Observer = m
		observer.ShimPlaced("placed", time.Second)
		observer.ShimReached(false)
		observer.ShimReached(true)
		has(t,
			`rdev_shim_placements_total{result="placed"} 1`,
			`rdev_shim_placements_total{result="failed"} 0`,
			`rdev_shim_placement_seconds_sum 1`,
			`rdev_shim_connections_total 2`,
			`rdev_shim_reconnects_total 1`,
		)
	})
	t.Run("ReadersTellHowFarTheyAreBehind", func(t *testing.T) {
		is := is.New(t)
		cmd := run("echo", "hi")
		before := count(t, m, "rdev_reader_lag_events_count")
		resp := ask(t, http.MethodGet, url+"/projects/web/events?stream_id="+cmd.ID, "", adminKey)
		_, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		for count(t, m, "rdev_reader_lag_events_count") == before {
			time.Sleep(time.Millisecond) // it is told after the body's end
		}
		is.Equal(count(t, m, `rdev_reader_lag_events_bucket{le="0"}`), count(t, m, "rdev_reader_lag_events_count")) // all were through
	})
	t.Run("GapsAreCounted", func(t *testing.T) {
		cmd := run("sleep", "2")
		has(t, `rdev_events_published_total 8`) // its first line is there
		broker.Trim(cmd.ID, 1)
		ask(t, http.MethodGet, url+"/projects/web/events?stream_id="+cmd.ID, "", adminKey)
		has(t, `rdev_gaps_total{reason="retention"} 1`, `rdev_gap_events_total{reason="retention"} 1`)
	})
}

// count is the value of one line.
func count(t *testing.T, m *metrics.Metrics, name string) string {
	t.Helper()
	for line := range strings.Lines(scrape(t, m)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestWhatWaitsIsAskedOfTheStore(t *testing.T) {
	is := is.New(t)
	m := metrics.New()
	store := &waiting{rdev.Backlog{Queued: 3, QueueAge: time.Minute, Unowned: 1, LeaseAge: 90 * time.Second}, nil, 0}
	m.Waiting(store)
	is.Equal(count(t, m, "rdev_commands_queued"), "3")
	is.Equal(count(t, m, "rdev_queue_age_seconds"), "60")
	is.Equal(count(t, m, "rdev_commands_unowned"), "1")
	is.Equal(count(t, m, "rdev_lease_age_seconds"), "90")
	is.Equal(store.asked, 1) // not at each scrape

	m = metrics.New()
	m.Waiting(&waiting{err: errors.New("no connection")})
	is.Equal(count(t, m, "rdev_commands_queued"), "") // absent, and not zero
	is.Equal(count(t, m, `rdev_store_errors_total{operation="backlog",store="commands"}`), "1")
}

type waiting struct {
	backlog rdev.Backlog
	err     error
	asked   int
}

func (w *waiting) Backlog(context.Context) (rdev.Backlog, error) {
	w.asked++
	return w.backlog, w.err
}

// TestTakeoversAreCounted: each command that a Claim returns is one.
func TestTakeoversAreCounted(t *testing.T) {
	is := is.New(t)
	m := metrics.New()
	shared, ok := m.Commands(leased{Leases: claimed{}}).(rdev.Leases)
	is.True(ok)
	_, err := shared.Claim(t.Context(), "me", 10)
	is.NoErr(err)
	is.Equal(count(t, m, "rdev_takeovers_total"), "2")
	is.Equal(count(t, m, `rdev_store_duration_seconds_count{operation="claim",store="leases"}`), "1")
}

type claimed struct{ rdev.Leases }

func (claimed) Claim(context.Context, string, int) ([]rdev.Command, error) {
	return make([]rdev.Command, 2), nil
}

// TestContracts: what is counted keeps the contract of the port.
func TestContracts(t *testing.T) {
	t.Run("Commands", func(t *testing.T) {
		rdevtest.Commands(t, func(*testing.T) rdev.Commands { return metrics.New().Commands(rdev.NewMemoryCommands()) })
	})
	t.Run("Keys", func(t *testing.T) {
		authtest.Run(t, func(*testing.T) auth.KeyStore { return metrics.New().Keys(auth.NewMemory()) })
	})
	t.Run("Broker", func(t *testing.T) {
		streamtest.Run(t, func(t *testing.T) streamtest.Subject {
			memory := stream.NewMemory(stream.MemoryConfig{StreamBytes: 32 << 20})
			t.Cleanup(memory.Shutdown)
			return streamtest.Subject{
				Broker: metrics.New().Broker(memory),
				Trim:   func(_ *testing.T, streamID string, through uint64) { memory.Trim(streamID, through) },
			}
		})
	})
}

func TestOptionalInterfacesAreKept(t *testing.T) {
	is := is.New(t)
	_, shared := metrics.New().Commands(rdev.NewMemoryCommands()).(rdev.Leases)
	is.True(!shared)
	_, shared = metrics.New().Commands(leased{}).(rdev.Leases)
	is.True(shared)
	_, locates := metrics.New().Executor(plain{}).(exec.Locator)
	is.True(!locates)
	_, locates = metrics.New().Executor(locating{}).(exec.Locator)
	is.True(locates)
}

type plain struct{ exec.Executor }

type locating struct {
	exec.Executor
	exec.Locator
}

type leased struct {
	rdev.Commands
	rdev.Leases
}

func TestStoreFailuresAreCounted(t *testing.T) {
	is := is.New(t)
	m := metrics.New()
	store := m.Keys(brokenKeys{})
	_, err := store.Get(t.Context(), "x")
	is.True(err != nil)
	is.True(strings.Contains(scrape(t, m), `rdev_store_errors_total{operation="get",store="keys"} 1`))
	answers := m.Keys(auth.NewMemory())
	_, err = answers.Get(t.Context(), "x")
	is.True(errors.Is(err, auth.ErrKeyNotFound))
	is.True(strings.Contains(scrape(t, m), `rdev_store_errors_total{operation="get",store="keys"} 1`))
}

type brokenKeys struct{ auth.KeyStore }

func (brokenKeys) Get(context.Context, string) (auth.Key, error) {
	return auth.Key{}, errors.New("no connection")
}
