package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/local"
)

func TestMain(m *testing.M) {
	if code, ok := other(); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

func newExecutor(t testing.TB) *local.Executor {
	t.Helper()
	x, err := local.New(local.Config{
		Dir: t.TempDir(),
		Targets: local.Folders(map[string]string{
			"here": t.TempDir(),
			"gone": filepath.Join(t.TempDir(), "gone"),
		}),
		// On a busy machine a second is not enough for a child to say a word.
		Linger: 4 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := x.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return x
}

func TestTargets(t *testing.T) {
	x := newExecutor(t)
	ctx := context.Background()
	execute := func(target exec.Target) error {
		cmd := exec.Command{ID: "target-" + target.Name, Target: target, Argv: []string{"true"}}
		_, err := x.Execute(ctx, cmd, func([]exec.Line) error { return nil })
		return err
	}

	t.Run("AnUnknownTargetIsNotFound", func(t *testing.T) {
		is := is.New(t)
		_, err := x.Locate(ctx, "nowhere")
		is.True(errors.Is(err, exec.ErrTargetNotFound))
		is.True(errors.Is(execute(exec.Target{Name: "nowhere"}), exec.ErrTargetNotFound))
		target, err := x.Locate(ctx, "here")
		is.NoErr(err)
		target.Name = "nowhere"
		is.True(errors.Is(execute(target), exec.ErrTargetNotFound))       // nothing runs in no folder
		is.NoErr(x.Cancel(ctx, exec.Target{Name: "nowhere"}, "id-never")) // as an unknown ID anywhere
	})

	t.Run("AMissingFolderIsNotReady", func(t *testing.T) {
		is := is.New(t)
		_, err := x.Locate(ctx, "gone")
		is.True(errors.Is(err, exec.ErrTargetNotReady))
		is.True(errors.Is(execute(exec.Target{Name: "gone"}), exec.ErrTargetNotReady))
	})

	t.Run("TheLocatedInstanceIsTheOneThatRuns", func(t *testing.T) {
		is := is.New(t)
		target, err := x.Locate(ctx, "here")
		is.NoErr(err)
		is.True(target.Instance != "")
		is.NoErr(execute(target))
		target.Instance = "another"
		is.True(errors.Is(execute(target), exec.ErrLost))
	})

	t.Run("ConfigNamesWhatIsMissing", func(t *testing.T) {
		is := is.New(t)
		_, err := local.New(local.Config{})
		is.Equal(err.Error(), "exec/local: config: Dir is required")
		_, err = local.New(local.Config{Dir: t.TempDir()})
		is.Equal(err.Error(), "exec/local: config: Targets is required")
	})
}
