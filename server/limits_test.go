package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/server/client"
)

// limit returns the limit that a refusal names.
func (a answer) limit(t *testing.T) string {
	t.Helper()
	var envelope struct {
		Error struct{ Details struct{ Limit string } }
	}
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return envelope.Error.Details.Limit
}

// rateLimits parses the headers that tell what a key may, and holds what is
// always true of them.
func rateLimits(t *testing.T, a answer) (quota, left, reset int64) {
	t.Helper()
	policy, err := parseSFList(a.header.Get("RateLimit-Policy"))
	if err != nil || len(policy) != 1 || len(a.header.Values("RateLimit-Policy")) != 1 {
		t.Fatalf("RateLimit-Policy %q: %v", a.header.Values("RateLimit-Policy"), err)
	}
	limit, err := parseSFList(a.header.Get("RateLimit"))
	if err != nil || len(limit) != 1 || limit[0].name != policy[0].name {
		t.Fatalf("RateLimit %q: %v", a.header.Values("RateLimit"), err)
	}
	q, w := policy[0].params["q"], policy[0].params["w"]
	r, reset := limit[0].params["r"], limit[0].params["t"]
	if q < 1 || w < 1 || r < 0 || r > q || reset < 0 || reset > w {
		t.Fatalf("RateLimit-Policy %q, RateLimit %q", a.header.Get("RateLimit-Policy"), a.header.Get("RateLimit"))
	}
	return q, r, reset
}

func retryAfter(t *testing.T, a answer) int64 {
	t.Helper()
	seconds, err := strconv.ParseInt(a.header.Get("Retry-After"), 10, 64)
	if err != nil || seconds < 1 {
		t.Fatalf("Retry-After %q", a.header.Get("Retry-After"))
	}
	return seconds
}

func TestRequestsOfAKeyAreLimited(t *testing.T) {
	is := is.New(t)
	const burst = 5
	st := newStand(t, func(up *setup) {
		up.config.Requests = auth.Rate{Requests: 1, Per: time.Hour, Burst: burst}
	})
	ask := func(key string) answer {
		return st.do(http.MethodGet, "/projects", "", "Authorization", "Bearer "+key)
	}
	key := st.key([]auth.Scope{auth.ScopeProjectsRead}, "*")
	for n := range int64(burst) {
		a := ask(key)
		is.Equal(a.status, http.StatusOK)
		quota, left, _ := rateLimits(t, a)
		is.Equal(quota, int64(burst))
		is.Equal(left, burst-1-n)
	}
	a := ask(key)
	is.Equal(a.status, http.StatusTooManyRequests)
	is.Equal(a.code(), "RATE_LIMITED")
	is.Equal(a.limit(t), "requests")
	_, left, reset := rateLimits(t, a)
	is.Equal(left, int64(0))
	is.True(reset > 0)
	is.True(retryAfter(t, a) >= reset)
	is.True(retryAfter(t, a) <= reset+reset/10+1)

	a = ask(st.key([]auth.Scope{auth.ScopeCommandsRead}, "*"))
	is.Equal(a.status, http.StatusForbidden) // another key, and its refusals count too
	_, left, _ = rateLimits(t, a)
	is.Equal(left, int64(burst-1))

	for range 3 * burst {
		a := st.do(http.MethodGet, "/projects", "")
		is.Equal(a.status, http.StatusOK) // the admin key may always
		is.Equal(a.header.Get("RateLimit"), "")
	}
	is.Equal(st.do(http.MethodGet, "/healthz", "", "Authorization", "").header.Get("RateLimit"), "")
}

func TestFailedLoginsOfAnAddressAreLimited(t *testing.T) {
	is := is.New(t)
	st := newStand(t, func(up *setup) {
		up.config.FailedLogins = auth.Rate{Requests: 1, Per: time.Hour, Burst: 4}
	})
	good := st.key([]auth.Scope{auth.ScopeProjectsRead}, "*")
	wrong := func(key string) answer {
		return st.do(http.MethodGet, "/projects", "", "Authorization", "Bearer "+key)
	}
	for range 10 { // none presented is none that does not work
		is.Equal(st.do(http.MethodGet, "/projects", "", "Authorization", "").status, http.StatusUnauthorized)
	}
	for range 4 {
		is.Equal(wrong("nonsense").status, http.StatusUnauthorized)
	}
	for _, key := range []string{"nonsense", good[:len(good)-1] + "_", strings.Replace(good, "rdev", "vedr", 1)} {
		a := wrong(key)
		is.Equal(a.status, http.StatusTooManyRequests)
		is.Equal(a.code(), "RATE_LIMITED")
		is.Equal(a.limit(t), "failed_logins")
		is.True(retryAfter(t, a) > 3000)
	}
	is.Equal(wrong(good).status, http.StatusOK) // from the same address
	is.Equal(st.do(http.MethodGet, "/projects", "").status, http.StatusOK)
}

func TestStreamsOfAKeyAreLimited(t *testing.T) {
	for name, change := range map[string]func(*setup){"taken over": func(*setup) {}, "by net/http": wrapped} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			st := newStand(t, func(up *setup) {
				up.config.StreamsPerKey = 3
				change(up)
			})
			st.command("cmd-a", rdev.StateRunning)
			key := st.key([]auth.Scope{auth.ScopeStreamsRead}, "*")
			read := func(headers ...string) *http.Response {
				return st.open(http.MethodGet, "/projects/web/events?stream_id=cmd-a", "", append(headers, "Authorization", "Bearer "+key)...)
			}
			var open []*http.Response
			for range 3 {
				resp := read()
				is.Equal(resp.StatusCode, http.StatusOK)
				open = append(open, resp)
			}
			resp := read()
			is.Equal(resp.StatusCode, http.StatusTooManyRequests)
			is.True(resp.Header.Get("Retry-After") != "")
			_ = resp.Body.Close()
			// One that comes back must not be lost for good.
			resp = read("Last-Event-ID", "cmd-a:0")
			is.Equal(resp.StatusCode, http.StatusOK)
			body := bufio.NewScanner(resp.Body)
			is.True(body.Scan())
			is.True(strings.HasPrefix(body.Text(), "retry:"))
			_ = resp.Body.Close()
			resp = st.open(http.MethodGet, "/projects/web/events?stream_id=cmd-a", "")
			is.Equal(resp.StatusCode, http.StatusOK) // of the admin key
			defer resp.Body.Close()

			_ = open[0].Body.Close() // it hangs up
			eventually(t, "the place of a reader that hung up is free", func() bool {
				resp := read()
				if resp.StatusCode == http.StatusOK {
					open[0] = resp
					return true
				}
				_ = resp.Body.Close()
				return false
			})
			st.complete("cmd-a", 1) // the streams end
			for _, resp := range open {
				_ = resp.Body.Close()
			}
			st.command("cmd-b", rdev.StateRunning)
			eventually(t, "all places are free", func() bool {
				for range 3 {
					resp := st.open(http.MethodGet, "/projects/web/events?stream_id=cmd-b", "", "Authorization", "Bearer "+key)
					defer resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						return false
					}
				}
				return true
			})
		})
	}
}

// commandStand has a real store of records and one place for commands.
func commandStand(t *testing.T) *stand {
	return newStand(t, func(up *setup) {
		up.commands = rdev.NewMemoryCommands()
		up.service = func(c *rdev.Config) { c.MaxProjectCommands, c.MaxQueue = 1, 4 }
	})
}

func TestCommandsAreLimited(t *testing.T) {
	is := is.New(t)
	st := commandStand(t)
	run := func(body string) answer { return st.do(http.MethodPost, "/projects/web/shell", body) }
	is.Equal(run(`{"argv":["sleep"]}`).status, http.StatusCreated)
	a := run(`{"argv":["sleep"]}`)
	is.Equal(a.status, http.StatusTooManyRequests)
	is.Equal(a.code(), "TOO_MANY_COMMANDS")
	is.Equal(a.limit(t), "project_commands")
	is.True(retryAfter(t, a) >= 1)
	for range 2 {
		a := run(`{"argv":["sleep"],"max_wait":"1m"}`)
		is.Equal(a.status, http.StatusCreated)
		is.Equal(data[struct{ State string }](t, a).State, "queued")
	}
	a = run(`{"argv":["sleep"],"max_wait":"1m"}`)
	is.Equal(a.code(), "TOO_MANY_COMMANDS")
	is.Equal(a.limit(t), "queue")
	a = run(`{"argv":["sleep"],"max_wait":"11m"}`)
	is.Equal(a.code(), "INVALID_ARGUMENT")
	is.Equal(a.field(), "max_wait")
}

// TestReadersSeeWhereACommandWaits: its position, each time that it changes,
// then its output; whoever runs out of patience sees the end.
func TestReadersSeeWhereACommandWaits(t *testing.T) {
	is := is.New(t)
	st := commandStand(t)
	positions := make(chan int, 100)
	api := st.client(adminKey, &client.Options{OnQueued: func(position int) { positions <- position }})
	run := func(program string, wait time.Duration) client.Command {
		cmd, err := api.RunShell(t.Context(), "web", client.Shell{Argv: []string{program}}, &client.RunOptions{MaxWait: wait})
		is.NoErr(err)
		time.Sleep(2 * time.Millisecond) // ids sort by milliseconds
		return cmd
	}
	running := run("sleep", 0)
	first := run("sleep", time.Minute)
	second := run("echo", time.Minute)
	var output strings.Builder
	var end client.End
	read := make(chan error, 1)
	go func() {
		var err error
		end, err = api.Follow(t.Context(), "web", second.ID, 0, func(events []client.Event) error {
			for _, e := range events {
				output.Write(e.Raw())
			}
			return nil
		})
		read <- err
	}()
	cancel := func(id string) {
		_, err := api.Cancel(t.Context(), "web", id)
		is.NoErr(err)
	}
	is.Equal(<-positions, 2)
	cancel(running.ID)
	is.Equal(<-positions, 1)
	cancel(first.ID)
	is.NoErr(<-read)
	is.Equal(output.String(), "hi\n")
	is.Equal(end.State, client.Succeeded)
	is.True(len(positions) == 0 || <-positions == 0)

	run("sleep", 0)
	vain := run("echo", 50*time.Millisecond)
	end, err := api.Follow(context.Background(), "web", vain.ID, 0, func([]client.Event) error { return errors.New("it printed something") })
	is.NoErr(err)
	is.Equal(end.State, client.Failed)
	is.Equal(string(end.Code), "TOO_MANY_COMMANDS")
}

func TestTheLargestBodyAndPageAreTaken(t *testing.T) {
	is := is.New(t)
	st := newStand(t, nil)
	body := `{"argv":["true"]}`
	body += strings.Repeat(" ", 1<<20-len(body))
	is.Equal(st.do(http.MethodPost, "/projects/web/shell", body).status, http.StatusCreated)
	a := st.do(http.MethodPost, "/projects/web/shell", body+" ")
	is.Equal(a.status, http.StatusBadRequest)
	is.Equal(a.field(), "body")
	is.Equal(st.do(http.MethodGet, "/projects/web/commands?limit=200", "").status, http.StatusOK)
	a = st.do(http.MethodGet, "/projects/web/commands?limit=201", "")
	is.Equal(a.status, http.StatusBadRequest)
	is.Equal(a.field(), "limit")
	for _, c := range []struct{ length, status int }{{255, http.StatusCreated}, {256, http.StatusBadRequest}} {
		a := st.do(http.MethodPost, "/projects/web/shell", `{"argv":["true"]}`, "Idempotency-Key", strings.Repeat("k", c.length))
		is.Equal(a.status, c.status)
	}
}

func TestLimitsOfAServerAreChecked(t *testing.T) {
	is := is.New(t)
	st := newStand(t, nil)
	for _, bad := range []server.Config{
		{Requests: auth.Rate{Requests: 1}}, {FailedLogins: auth.Rate{Burst: 1}}, {StreamsPerKey: -1},
	} {
		_, err := server.New(st.svc, st.authn, bad)
		is.True(err != nil)
	}
}
