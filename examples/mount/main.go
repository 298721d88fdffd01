// This example mounts rdev's API in a program that has a web server of its own,
// under /rdev, and calls it there.
//
//	go run ./examples/mount
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/server/client"
	"github.com/orchard9/rdev/store/sqlite"
)

// adminKey would come from a file or the environment.
const adminKey = "an-example-key-of-32-characters-or-more"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "rdev-mount-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(ctx, filepath.Join(dir, "rdev.db"), nil)
	if err != nil {
		return err
	}
	defer store.Close(ctx)
	executor, err := local.New(local.Config{Dir: filepath.Join(dir, "commands"), Targets: local.Folders(map[string]string{"here": "."})})
	if err != nil {
		return err
	}
	defer executor.Close(ctx)
	service, err := rdev.New(ctx, rdev.Config{
		Executor: executor, Projects: rdev.FixedProjects(rdev.Project{Name: "here"}),
		Commands: store.Commands(), Broker: store.Broker(), Keys: store.Keys(),
	})
	if err != nil {
		return err
	}
	defer service.Close(ctx)
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: store.Keys(), AdminKey: auth.NewSecret(adminKey)})
	if err != nil {
		return err
	}
	defer authn.Close(ctx)
	api, err := server.New(service, authn, server.Config{BasePath: "/rdev"})
	if err != nil {
		return err
	}

	// The server knows its path, so no http.StripPrefix is needed. Whatever
	// wraps it must pass on Flush and write deadlines (http.ResponseController).
	mux := http.NewServeMux()
	mux.Handle("/rdev/", api)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the program's own page") })
	web := httptest.NewServer(mux) // http.ListenAndServe in a real program
	defer web.Close()
	defer api.Drain(ctx) // or web would wait for the streams

	return use(ctx, w, web.URL+"/rdev")
}

// use is a client of the mounted API.
func use(ctx context.Context, w io.Writer, url string) error {
	c, err := client.New(url, adminKey, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	cmd, err := c.RunShell(ctx, "here", client.Shell{Argv: []string{"echo", "hello from", "the mounted API"}}, nil)
	if err != nil {
		return err
	}
	end, err := c.Follow(ctx, "here", cmd.ID, 0, func(events []client.Event) error {
		for _, e := range events {
			w.Write(e.Raw())
		}
		return nil
	})
	fmt.Fprintln(w, end.State)
	return err
}
