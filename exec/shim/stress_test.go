package shim_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

func TestStress(t *testing.T) {
	t.Run("ManyShortCommandsAtOnce", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		workspace := t.TempDir()
		const workers, each = 8, 150
		errs := make(chan error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					if err := short(e, workspace, w, i); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			})
		}
		wg.Wait()
		for range workers {
			is.NoErr(<-errs)
		}
	})

	t.Run("OldCommandsAreForgotten", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		e := openEngine(t, dir, shim.ForgetAfter(shim.Options{MaxEnded: 10, Retention: -1}, time.Nanosecond))
		for i := range 40 {
			_, _, err := run(t, e, command(fmt.Sprint("n-", i), "true"))
			is.NoErr(err)
		}
		is.True(settles(func() bool { return folders(dir) == 10 }))
		is.NoErr(e.Close(context.Background()))
		openEngine(t, dir, &shim.Options{Retention: 50 * time.Millisecond})
		is.True(settles(func() bool { return folders(dir) == 0 }))
	})
}

// short runs a command with a few lines and checks them.
func short(e *shim.Engine, workspace string, w, i int) error {
	var out output
	cmd := command(fmt.Sprintf("short-%d-%d", w, i), "printf", `%s\n`, "a", fmt.Sprint(i), "c")
	if i%5 == 0 {
		cmd = shell(cmd.ID, fmt.Sprintf("echo a; echo %d >&2; echo c; (setsid true &)", i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	result, err := e.Execute(ctx, workspace, cmd, out.sink)
	switch {
	case err != nil:
		return err
	case result.Reason != exec.Exited || result.ExitCode != 0 || len(result.Survivors) > 0:
		return fmt.Errorf("%s: %+v", cmd.ID, result)
	case len(out.lines) != 3 || result.Lines != 3:
		return fmt.Errorf("%s: lines %v", cmd.ID, out.lines)
	}
	return nil
}

func folders(dir string) int {
	entries, err := os.ReadDir(filepath.Join(dir, "v1"))
	if err != nil {
		return -1
	}
	return len(entries)
}

// settles waits for what must come true.
func settles(f func() bool) bool {
	for start := time.Now(); time.Since(start) < deadline; time.Sleep(5 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}
