//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/store/postgres"
)

// replicaKey is the admin key of the replicas that are processes.
const replicaKey = "admin-key-of-the-replicas-of-no-use-elsewhere"

// asReplica makes this process, which is the test program started again, a
// replica: a server for as long as its standard input is open.
func asReplica() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is gone
		os.Exit(0)
	}()
	err := serveReplica(context.Background())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serveReplica(ctx context.Context) error {
	complain := func(err error) { fmt.Fprintln(os.Stderr, err) }
	store, err := postgres.Open(ctx, postgres.Options{DSN: os.Getenv("DSN"), OnError: complain})
	if err != nil {
		return err
	}
	client, err := shim.NewClient(shim.ClientConfig{Env: []string{"PATH=" + os.Getenv("PATH")}, Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
		return new(net.Dialer).DialContext(ctx, "unix", os.Getenv("SOCKET"))
	}})
	if err != nil {
		return err
	}
	service, err := rdev.New(ctx, rdev.Config{
		Executor: supervised{client, os.Getenv("WORKSPACE")}, Projects: rdev.FixedProjects(rdev.Project{Name: "app"}),
		Commands: store.Commands(), Broker: store.Broker(), Keys: store.Keys(), LeaveRunning: true, OnError: complain,
	})
	if err != nil {
		return err
	}
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: store.Keys(), AdminKey: auth.NewSecret(replicaKey)})
	if err != nil {
		return err
	}
	handler, err := server.New(service, authn, server.Config{})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", os.Getenv("ADDR"))
	if err != nil {
		return err
	}
	return handler.NewHTTPServer("").Serve(listener)
}

// supervised is the executor of a replica: the supervisor behind a socket,
// which all replicas share.
type supervised struct {
	client    *shim.Client
	workspace string
}

func (s supervised) Locate(ctx context.Context, name string) (exec.Target, error) {
	instance, err := s.client.Instance(ctx)
	return exec.Target{Name: name, Instance: instance}, err
}

func (s supervised) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	return s.client.Execute(ctx, s.workspace, cmd, sink)
}

func (s supervised) Cancel(ctx context.Context, _ exec.Target, id string) error {
	return s.client.Cancel(ctx, id)
}

// supervise runs a supervisor in this process, and returns its socket.
func supervise(t *testing.T) string {
	t.Helper()
	engine, err := shim.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rdev") // short: the path of a socket has 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "shim")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- shim.NewServer(engine, nil).Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
