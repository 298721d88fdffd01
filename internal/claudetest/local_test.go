//go:build linux

package claudetest_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/local"
	"github.com/orchard9/rdev/internal/claudetest"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

func TestMain(m *testing.M) { os.Exit(claudetest.Run(m)) }

const patience = 2 * time.Minute

// TestClaudeOnThisMachine runs the real claude in a folder of this machine.
func TestClaudeOnThisMachine(t *testing.T) {
	program := claudetest.Program(t)
	api := httptest.NewServer(&claudetest.API{})
	defer api.Close()
	home, work := t.TempDir(), t.TempDir()
	var env []string
	for name, value := range claudetest.Env(home, program+":/usr/bin:/bin", api.URL) {
		env = append(env, name+"="+value)
	}
	executor, err := local.New(local.Config{
		Dir: filepath.Join(t.TempDir(), "state"), Env: env, Targets: local.Folders(map[string]string{"here": work}),
	})
	if err != nil {
		t.Fatal(err)
	}
	claudetest.Exercise(t, claudetest.Subject{Service: serve(t, executor, rdev.FixedProjects(rdev.Project{Name: "here"}), executor.Close), Project: "here", Patience: patience})
}

// serve returns a Service over an executor, which end closes after it.
func serve(t *testing.T, executor *local.Executor, projects rdev.Projects, end func(context.Context) error) *rdev.Service {
	t.Helper()
	service, err := rdev.New(t.Context(), rdev.Config{
		Executor: executor, Projects: projects, Commands: rdev.NewMemoryCommands(),
		Broker: stream.NewMemory(stream.MemoryConfig{}), Keys: auth.NewMemory(),
		OnError: func(err error) { t.Log(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := service.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
	return service
}
