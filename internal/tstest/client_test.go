package tstest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
)

const adminKey = "test-admin-key-0123456789-0123456789"

// patience covers fetching the packages, once.
const patience = 10 * time.Minute

// TestClient: the description becomes types, a program that uses them compiles
// under the strictest settings, one that uses them wrongly does not, and it works.
func TestClient(t *testing.T) {
	is := is.New(t)
	folder := t.TempDir()
	is.NoErr(os.Symlink(packages(t), filepath.Join(folder, "node_modules")))
	for _, name := range []string{"package.json", "tsconfig.json", "usage.ts"} {
		text, err := os.ReadFile(name)
		is.NoErr(err)
		is.NoErr(os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	is.NoErr(os.WriteFile(filepath.Join(folder, "openapi.yaml"), server.OpenAPI(), 0o600))
	run(t, folder, "node_modules/.bin/openapi-typescript", "openapi.yaml", "--output", "api.ts")
	run(t, folder, "node_modules/.bin/tsc", "--project", ".")

	said := run(t, folder, "node", "usage.js", serve(t), adminKey)
	is.Equal(said, "stdout: hi\nsucceeded 0\nPROJECT_NOT_FOUND\n")
}

// packages installs what package-lock.json names into the cache, in a folder named
// after its digest, where it appears whole or not at all; npm holds each package to
// its digest. It returns the folder node_modules.
func packages(t *testing.T) string {
	t.Helper()
	is := is.New(t)
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("npm is missing; install Node.js 18 or newer with it (apt-get install nodejs npm)")
	}
	cache := os.Getenv("RDEV_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		is.NoErr(err)
		cache = filepath.Join(base, "rdev")
	}
	is.NoErr(os.MkdirAll(cache, 0o755))
	lock, err := os.ReadFile("package-lock.json")
	is.NoErr(err)
	done := filepath.Join(cache, fmt.Sprintf("typescript-%.6x", sha256.Sum256(lock)))
	if _, err := os.Stat(done); err != nil {
		partial, err := os.MkdirTemp(cache, "typescript-*.partial")
		is.NoErr(err)
		defer os.RemoveAll(partial)
		for _, name := range []string{"package.json", "package-lock.json"} {
			text, err := os.ReadFile(name)
			is.NoErr(err)
			is.NoErr(os.WriteFile(filepath.Join(partial, name), text, 0o600))
		}
		run(t, partial, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
		if err := os.Rename(partial, done); err != nil { // somebody else may have been faster
			_, there := os.Stat(done)
			is.NoErr(there)
		}
	}
	return filepath.Join(done, "node_modules")
}

func run(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if strings.Contains(name, "/") {
		name = filepath.Join(folder, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, complaints.String())
	}
	return string(out)
}

// serve serves the API over parts in memory, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	is := is.New(t)
	broker := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(broker.Shutdown)
	keys := auth.NewMemory()
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: &exectest.Fake{Targets: []string{"web"}, Programs: map[string]exectest.Script{"echo": exectest.Lines("hi")}},
		Projects: rdev.FixedProjects(rdev.Project{Name: "web"}),
		Commands: rdev.NewMemoryCommands(), Broker: broker, Keys: keys,
	})
	is.NoErr(err)
	t.Cleanup(func() { _ = service.Close(context.Background()) })
	authn, err := auth.NewAuthenticator(auth.AuthenticatorConfig{Keys: keys, AdminKey: auth.NewSecret(adminKey)})
	is.NoErr(err)
	t.Cleanup(func() { _ = authn.Close(context.Background()) })
	handler, err := server.New(service, authn, server.Config{})
	is.NoErr(err)
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return listener.URL
}
