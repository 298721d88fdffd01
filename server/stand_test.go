package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/stream"
)

// adminKey is the admin key of every stand.
const adminKey = "test-admin-key-0123456789-0123456789"

// A stand is a server on a real listener, over a real Service whose parts are
// in memory and whose processes are scripted.
type stand struct {
	hs      *http.Server
	t       testing.TB
	svc     *rdev.Service
	authn   *auth.Authenticator
	srv     *server.Server
	broker  stream.Broker
	records *records
	log     *lockedBuffer
	addr    string
	url     string
	http    *http.Client
	keys    *auth.Memory
}

// setup changes how a stand is made.
type setup struct {
	config   server.Config
	commands rdev.Commands
	broker   stream.Broker
	executor exec.Executor
	policy   policy.Policy
	// service changes the Service's configuration.
	service func(*rdev.Config)
	// wrap is middleware around the Server, which then cannot take
	// connections over.
	wrap func(http.Handler) http.Handler
}

// wrapped is a setup with middleware that does nothing.
func wrapped(up *setup) {
	up.wrap = func(h http.Handler) http.Handler { return http.HandlerFunc(h.ServeHTTP) }
}

func newStand(t testing.TB, change func(*setup)) *stand {
	t.Helper()
	st := &stand{t: t, records: newRecords("web", "secret"), log: new(lockedBuffer), keys: auth.NewMemory()}
	log := zerolog.New(st.log)
	memory := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(memory.Shutdown)
	up := setup{
		config:   server.Config{Log: &log},
		commands: st.records,
		broker:   memory,
		executor: &exectest.Fake{Targets: []string{"web", "secret"}, Programs: programs()},
	}
	if change != nil {
		change(&up)
	}
	st.broker = up.broker
	var err error
	config := rdev.Config{
		Executor: up.executor, Projects: projectList{st.records}, Commands: up.commands, Broker: up.broker, Keys: st.keys, Policy: up.policy,
		TracerProvider: up.config.TracerProvider,
		Audit:          rdev.NewMemoryCommands().Audit(),
	}
	if up.service != nil {
		up.service(&config)
	}
	st.svc, err = rdev.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.svc.Close(context.Background()) })
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: st.keys, AdminKey: auth.NewSecret(adminKey)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authn.Close(context.Background()) })
	st.authn = authn
	st.srv, err = server.New(st.svc, authn, up.config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	st.addr = listener.Addr().String()
	st.url = "http://" + st.addr + strings.TrimSuffix(up.config.BasePath, "/")
	hs := st.srv.NewHTTPServer("")
	st.hs = hs
	if up.wrap != nil {
		hs.Handler = up.wrap(st.srv)
	}
	served := make(chan struct{})
	serving := recorded(t, listener, up.config.BasePath)
	go func() { defer close(served); _ = hs.Serve(serving) }()
	transport := &http.Transport{DisableCompression: true}
	st.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = hs.Close()
		<-served
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := st.srv.Drain(ctx); err != nil {
			t.Errorf("readers are left: %v", err)
		}
	})
	return st
}

// programs are the commands that a stand knows.
func programs() map[string]exectest.Script {
	return map[string]exectest.Script{
		"true": {},
		"echo": exectest.Lines("hi"),
		"fail": {Steps: []exectest.Step{{Stream: exec.Stderr, Text: "no\n"}}, ExitCode: 3},
		"both": {Steps: []exectest.Step{
			{Text: "one\n"}, {Stream: exec.Stderr, Text: "two\n"}, {Text: "\xff\xfe\n"}, {Text: "no newline"},
		}},
		"sleep": {Steps: []exectest.Step{{Text: "begun\n"}, {Delay: time.Hour, Text: "never\n"}}},
	}
}

// key makes a key in the store and returns it as it is presented.
func (st *stand) key(scopes []auth.Scope, projects ...auth.Pattern) string {
	st.t.Helper()
	_, secret, err := st.svc.CreateKey(st.t.Context(), auth.Admin(), rdev.KeySpec{Name: "test", Scopes: scopes, Projects: projects})
	if err != nil {
		st.t.Fatal(err)
	}
	return secret.Reveal()
}

func (st *stand) client(key string, opts *client.Options) *client.Client {
	st.t.Helper()
	return st.clientAt(st.url, key, opts)
}

func (st *stand) clientAt(url, key string, opts *client.Options) *client.Client {
	st.t.Helper()
	c, err := client.New(url, key, opts)
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(c.Close)
	return c
}

// command puts the record of a command into the store, without running it, so
// that a test can publish what it likes.
func (st *stand) command(id string, state rdev.State) {
	st.t.Helper()
	_, _, err := st.records.Insert(st.t.Context(), rdev.Command{
		ID: id, Project: "web", Type: policy.TypeShell, Argv: []string{"made", "by", "hand"}, State: state, KeyID: "admin", Policy: policy.Restricted,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		st.t.Fatal(err)
	}
}

// publish appends output events from..to.
func (st *stand) publish(id string, from, to uint64) {
	st.t.Helper()
	var events []stream.Event
	for seq := from; seq <= to; seq++ {
		events = append(events, stream.Event{Seq: seq, Kind: stream.Output, Data: []byte(`{"line":"line","stream":"stdout"}`)})
	}
	if err := st.broker.Publish(st.t.Context(), id, events); err != nil {
		st.t.Fatal(err)
	}
}

// trim takes the events up to through away.
func (st *stand) trim(id string, through uint64) {
	st.broker.(*stream.Memory).Trim(id, through)
}

func (st *stand) complete(id string, seq uint64) {
	st.t.Helper()
	err := st.broker.Publish(st.t.Context(), id, []stream.Event{{Seq: seq, Kind: stream.Complete,
		Data: []byte(`{"exit_code":0,"duration_ms":7,"state":"succeeded"}`)}})
	if err != nil {
		st.t.Fatal(err)
	}
}

// in returns the stand for use in a part of its test.
func (st *stand) in(t testing.TB) *stand {
	part := *st
	part.t = t
	return &part
}

// An answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the code of an error, or "".
func (a answer) code() string {
	var envelope struct {
		Error struct{ Code string }
	}
	_ = json.Unmarshal([]byte(a.body), &envelope)
	return envelope.Error.Code
}

// field returns the field that an error names.
func (a answer) field() string {
	var envelope struct {
		Error struct{ Details struct{ Field string } }
	}
	_ = json.Unmarshal([]byte(a.body), &envelope)
	return envelope.Error.Details.Field
}

// data decodes the data of a success.
func data[T any](t testing.TB, a answer) T {
	t.Helper()
	var envelope struct{ Data T }
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return envelope.Data
}

// do makes a request with the admin key; headers are pairs, and an empty value
// takes a header away.
func (st *stand) do(method, path, body string, headers ...string) answer {
	st.t.Helper()
	resp := st.open(method, path, body, headers...)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (st *stand) open(method, path, body string, headers ...string) *http.Response {
	st.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(st.t.Context(), method, st.url+path, reader)
	if err != nil {
		st.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Authorization" || headers[i] == "Content-Type" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := st.http.Do(req)
	if err != nil {
		st.t.Fatal(err)
	}
	return resp
}

// lockedBuffer takes a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for what will come true, without a rate that a test depends
// on.
func eventually(t testing.TB, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !true(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come true that %s", what)
		}
	}
}
