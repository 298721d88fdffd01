package apitest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

const adminKey = "test-admin-key-0123456789-0123456789"

// A tour is a client of a server whose parts are in memory.
type tour struct {
	t    *testing.T
	v    *validator
	url  string
	http *http.Client
}

func newTour(t *testing.T) *tour {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	broker := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(broker.Shutdown)
	keys := auth.NewMemory()
	records := rdev.NewMemoryCommands()
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: &exectest.Fake{Targets: []string{"web"}, Programs: programs()},
		Projects: rdev.FixedProjects(rdev.Project{Name: "web", Description: "a site"}, rdev.Project{Name: "empty"}),
		Commands: records, Broker: broker, Keys: keys, Audit: records.Audit(),
	})
	must(err)
	t.Cleanup(func() { _ = service.Close(context.Background()) })
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: keys, AdminKey: auth.NewSecret(adminKey)})
	must(err)
	t.Cleanup(func() { _ = authn.Close(context.Background()) })
	handler, err := server.New(service, authn, server.Config{Heartbeat: 20 * time.Millisecond})
	must(err)
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	v := newValidator(t, server.OpenAPI())
	return &tour{t: t, v: v, url: listener.URL, http: &http.Client{Transport: v}}
}

func programs() map[string]exectest.Script {
	return map[string]exectest.Script{
		"echo": exectest.Lines("hi"),
		"both": {Steps: []exectest.Step{
			{Text: "one\n"}, {Stream: exec.Stderr, Text: "two\n"}, {Text: "\xff\xfe\n"}, {Delay: 100 * time.Millisecond, Text: "no newline"},
		}, ExitCode: 3},
		"sleep": {Steps: []exectest.Step{{Text: "begun\n"}, {Delay: time.Hour, Text: "never\n"}}},
	}
}

// do makes a request with the admin key and returns the data of its answer;
// headers are pairs.
func (tr *tour) do(want int, method, path, body string, headers ...string) map[string]any {
	tr.t.Helper()
	return tr.ask(tr.t.Context(), want, method, path, body, headers...)
}

// wrong makes a request that is not as described.
func (tr *tour) wrong(want int, method, path, body string, headers ...string) {
	tr.t.Helper()
	tr.ask(context.WithValue(tr.t.Context(), invalidRequest{}, true), want, method, path, body, headers...)
}

func (tr *tour) ask(ctx context.Context, want int, method, path, body string, headers ...string) map[string]any {
	tr.t.Helper()
	text := tr.send(ctx, want, method, path, body, headers...)
	var answer struct{ Data map[string]any }
	_ = json.Unmarshal([]byte(text), &answer)
	return answer.Data
}

func (tr *tour) send(ctx context.Context, want int, method, path, body string, headers ...string) string {
	tr.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, tr.url+path, strings.NewReader(body))
	if err != nil {
		tr.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := tr.http.Do(req)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tr.t.Fatal(err)
	}
	if resp.StatusCode != want {
		tr.t.Errorf("%s %s: %d %s, want %d", method, path, resp.StatusCode, text, want)
	}
	return string(text)
}

// TestTour makes requests of every route, good and bad; the validator looks at
// each.
func TestTour(t *testing.T) {
	tr := newTour(t)
	tr.do(200, "GET", "/healthz", "")
	tr.do(200, "GET", "/readyz", "")
	tr.do(200, "GET", "/readyz?verbose", "")
	tr.do(200, "GET", "/openapi.yaml", "")
	tr.do(200, "GET", "/docs", "")
	tr.do(401, "GET", "/projects", "", "Authorization", "Bearer nonsense")
	tr.do(200, "GET", "/projects", "")
	tr.do(200, "GET", "/projects/web", "")
	tr.do(404, "GET", "/projects/other", "")
	tr.wrong(400, "GET", "/projects?page=1", "", "X-Request-Id", "my-request-1")

	tr.commands()
	tr.events()
	tr.keys()
	tr.audit()

	for path, item := range tr.v.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if len(tr.v.seen[operation.OperationID]) == 0 {
				t.Errorf("the tour does not come to %s %s", method, path)
			}
		}
	}
}

func (tr *tour) commands() {
	tr.do(201, "POST", "/projects/web/shell", `{"command":"echo hi","timeout":30}`)
	tr.do(201, "POST", "/projects/web/shell", `{"argv":["echo","hi"],"cwd":"src","env":{"A":"b"},"timeout":"30s"}`, "Idempotency-Key", "one")
	tr.do(200, "POST", "/projects/web/shell", `{"argv":["echo","hi"],"cwd":"src","env":{"A":"b"},"timeout":"30s"}`, "Idempotency-Key", "one")
	for _, status := range []int{201, 200} { // started, and replayed
		tr.do(status, "POST", "/projects/web/shell", `{"argv":["echo","hi"]}`, "Idempotency-Key", "followed", "Accept", "text/event-stream")
	}
	tr.do(409, "POST", "/projects/web/shell", `{"argv":["echo"]}`, "Idempotency-Key", "one")
	tr.do(201, "POST", "/projects/web/git", `{"args":["status","--short"]}`)
	tr.do(201, "POST", "/projects/web/claude", `{"prompt":"hello","max_turns":3,"permission_mode":"plan","allowed_tools":["Read"]}`)
	tr.do(422, "POST", "/projects/web/shell", `{"command":"echo hi | cat"}`)
	tr.do(422, "POST", "/projects/web/git", `{"args":["daemon"]}`)
	tr.wrong(400, "POST", "/projects/web/shell", `{"comand":"echo"}`)
	tr.wrong(400, "POST", "/projects/web/git", `{"args":["status"],"timeout":-1}`)
	tr.wrong(415, "POST", "/projects/web/git", `{}`, "Content-Type", "text/plain")

	running := tr.do(201, "POST", "/projects/web/shell", `{"argv":["sleep","9"]}`)["id"].(string)
	tr.do(202, "POST", "/projects/web/commands/"+running+"/cancel", "")
	tr.do(202, "POST", "/projects/web/commands/"+running+"/cancel", "{}")
	tr.do(200, "GET", "/projects/web/commands/"+running, "")
	tr.do(404, "GET", "/projects/web/commands/cmd-none", "")
	tr.do(404, "POST", "/projects/web/commands/cmd-none/cancel", "")
	// A project without a target: the command fails, with an error.
	lost := tr.do(201, "POST", "/projects/empty/shell", `{"argv":["echo"]}`)["id"].(string)
	tr.read("/projects/empty/events?stream_id=" + lost)
	tr.do(200, "GET", "/projects/empty/commands/"+lost, "")

	page := tr.do(200, "GET", "/projects/web/commands?limit=2&state=succeeded&state=failed&state=canceled&state=running", "")
	tr.do(200, "GET", "/projects/web/commands?limit=2&type=shell&cursor="+page["next_cursor"].(string), "")
	tr.wrong(400, "GET", "/projects/web/commands?limit=0", "")
}

func (tr *tour) events() {
	id := tr.do(201, "POST", "/projects/web/shell", `{"argv":["both"]}`)["stream_id"].(string)
	path := "/projects/web/events?stream_id=" + id
	seen := tr.read(path)
	for _, name := range []string{"connected", "output", "heartbeat", "complete"} {
		if seen[name] == 0 {
			tr.t.Errorf("there was no %s event", name)
		}
	}
	tr.do(204, "GET", path, "", "Last-Event-ID", id+":final")
	tr.do(200, "GET", path+"&last_event_id="+id+":1", "")
	tr.do(400, "GET", path, "", "Last-Event-ID", "nonsense")
	tr.do(406, "GET", path, "", "Accept", "application/json")
	tr.wrong(400, "GET", "/projects/web/events", "")
	tr.do(404, "GET", "/projects/web/events?stream_id=cmd-none", "")
	// Those that no tour comes to, in the form that the server gives them.
	tr.v.event("gap", map[string]any{"from": 1.0, "to": 2.0, "reason": "retention"})
}

// read reads a stream to its end, and holds each event to its schema.
func (tr *tour) read(path string) map[string]int {
	tr.t.Helper()
	body := tr.send(tr.t.Context(), 200, "GET", path, "", "Accept", "text/event-stream")
	seen := map[string]int{}
	decoder := sse.NewDecoder(strings.NewReader(body), nil)
	for {
		event, err := decoder.Next()
		if err == io.EOF {
			return seen
		}
		if err != nil {
			tr.t.Fatal(err)
		}
		var data any
		if err := json.Unmarshal(event.Data, &data); err != nil {
			tr.t.Fatal(err)
		}
		seen[event.Name]++
		tr.v.event(event.Name, data)
	}
}

func (tr *tour) keys() {
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	made := tr.do(201, "POST", "/keys", `{"name":"ci","scopes":["projects:read","commands:git"],"projects":["web","team-*"],"expires_at":"`+expires+`"}`)
	id, secret := made["id"].(string), made["secret"].(string)
	tr.do(201, "POST", "/keys", `{"name":"second","scopes":["keys:read","projects:read"],"projects":["*"]}`)
	tr.do(200, "GET", "/projects", "", "Authorization", "Bearer "+secret)
	tr.do(403, "GET", "/keys", "", "Authorization", "Bearer "+secret)
	tr.do(200, "GET", "/keys/"+id, "")
	tr.do(404, "GET", "/keys/none", "")
	page := tr.do(200, "GET", "/keys?limit=1", "")
	tr.do(200, "GET", "/keys?cursor="+page["next_cursor"].(string), "")
	tr.do(200, "PATCH", "/keys/"+id, `{"allowed_addresses":["10.0.0.0/8","::1"]}`)
	tr.do(200, "PATCH", "/keys/"+id, `{"allowed_addresses":[]}`)
	tr.do(400, "PATCH", "/keys/"+id, `{"allowed_addresses":["home"]}`)
	tr.do(201, "POST", "/keys/"+id+"/rotate", `{"grace":"1h"}`)
	tr.do(409, "POST", "/keys/"+id+"/rotate", "")
	tr.do(200, "DELETE", "/keys/"+id, "")
	tr.wrong(400, "POST", "/keys", `{"name":"","scopes":["all"],"projects":[]}`)
}

// audit reads what the rest of the tour has left in the log.
func (tr *tour) audit() {
	page := tr.do(200, "GET", "/audit?limit=5", "")
	tr.do(200, "GET", "/audit?limit=200&cursor="+page["next_cursor"].(string), "")
	tr.do(200, "GET", "/audit?order=oldest&project=web&key=admin&since=2026-01-02T15:04:05Z", "")
	tr.wrong(400, "GET", "/audit?since=yesterday", "")
	tr.wrong(400, "GET", "/audit?order=any", "")
	tr.do(401, "GET", "/audit", "", "Authorization", "Bearer nonsense")
}
