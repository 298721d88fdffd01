package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/store/postgres"
)

func service(b *testing.B, s *postgres.Store, executor exec.Executor) *rdev.Service {
	b.Helper()
	svc, err := rdev.New(b.Context(), rdev.Config{
		Executor: executor, Commands: s.Commands(), Broker: s.Broker(), Keys: s.Keys(),
		Projects: rdev.FixedProjects(rdev.Project{Name: "app"}), OnError: func(err error) { b.Log(err) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := svc.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return svc
}

// BenchmarkExecute is eight commands of 50,000 lines that run through one
// replica, each read to its end on another one: BenchmarkPublish with a Service
// and its encoding. The executor is a fake, which has its lines at once. The
// aim is 100,000 lines a second, durable.
func BenchmarkExecute(b *testing.B) {
	const commands, lines = 8, 50_000
	stores := durable(b, 2)
	pods := &exectest.Fake{Programs: map[string]exectest.Script{
		"print": {Steps: []exectest.Step{{Text: strings.Repeat(strings.Repeat("x", 64)+"\n", lines)}}},
	}}
	svc := service(b, stores[0], pods)
	b.ResetTimer()
	for range b.N {
		var wg sync.WaitGroup
		for range commands {
			wg.Go(func() {
				cmd, _, err := svc.Run(b.Context(), auth.Admin(), rdev.Request{Project: "app", Request: policy.Request{Shell: &policy.Shell{Argv: []string{"print"}}}})
				if err == nil {
					err = readTo(b.Context(), stores[1], cmd.ID, 0, lines+1)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(commands*lines*b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkProjects is GET /projects over TCP with 1,000 keys in turn, each of
// which is looked up for every request. The aim is 5,000 a second; the client
// is in it.
func BenchmarkProjects(b *testing.B) {
	const keys, clients = 1000, 16
	s := durable(b, 1)[0]
	svc := service(b, s, &exectest.Fake{})
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: s.Keys()})
	if err != nil {
		b.Fatal(err)
	}
	// Above what a key is held to by default, so that none of them is refused.
	handler, err := server.New(svc, authn, server.Config{Requests: auth.PerMinute(300), LimitStore: s.Limits()})
	if err != nil {
		b.Fatal(err)
	}
	secrets := make([]string, keys)
	var makers sync.WaitGroup
	for m := range clients {
		makers.Go(func() {
			for i := m; i < keys; i += clients {
				_, plain, err := svc.CreateKey(b.Context(), auth.Admin(), rdev.KeySpec{
					Name: fmt.Sprint("key ", i), Scopes: []auth.Scope{auth.ScopeProjectsRead}, Projects: []auth.Pattern{"*"},
				})
				if err != nil {
					b.Error(err)
				}
				secrets[i] = plain.Reveal()
			}
		})
	}
	makers.Wait()
	url := serve(b, handler)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	client := &http.Client{Transport: transport}
	b.Cleanup(transport.CloseIdleConnections)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := get(client, url+"/projects", secrets[i%keys]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.StopTimer()
	if err := authn.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

func get(client *http.Client, url, key string) error {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	return nil
}

func serve(b *testing.B, handler *server.Server) string {
	b.Helper()
	addr := freeAddr(b)
	web := handler.NewHTTPServer(addr)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = web.ListenAndServe() // until it is closed
	}()
	b.Cleanup(func() {
		_ = web.Close()
		<-done
	})
	for up := false; !up; {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			up = resp.Body.Close() == nil
		}
	}
	return "http://" + addr
}
