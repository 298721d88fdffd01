package shim_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// hostVariable makes the test binary host an engine in that folder instead of
// running tests.
const hostVariable = "SHIM_TEST_HOST"

// volatileVariable makes that engine's state volatile.
const volatileVariable = "SHIM_TEST_VOLATILE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostVariable); dir != "" {
		os.Exit(host(dir, os.Getenv("SHIM_TEST_SCRIPT")))
	}
	if dir := os.Getenv(subreaperVariable); dir != "" {
		os.Exit(subreaper(dir))
	}
	if name := os.Getenv(helperVariable); name != "" {
		os.Exit(help(name))
	}
	goleak.VerifyTestMain(m)
}

// host runs one command and prints "line <seq>" for each line it is given.
func host(dir, script string) int {
	e, err := shim.Open(filepath.Join(dir, "state"), &shim.Options{Volatile: os.Getenv(volatileVariable) != ""})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	result, err := e.Execute(context.Background(), dir, shell("crash", script), func(lines []exec.Line) error {
		for _, l := range lines {
			fmt.Println("line", l.Seq)
		}
		return nil
	})
	fmt.Println("error", result, err)
	return 1
}

// crash runs a script under an engine in another process and kills that
// process with KILL when it has told of so many lines.
func crash(t *testing.T, script string, lines int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostVariable+"="+dir, "SHIM_TEST_SCRIPT="+script)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	scanner := bufio.NewScanner(stdout)
	for i := 0; i < lines; i++ {
		if !scanner.Scan() || !strings.HasPrefix(scanner.Text(), "line ") {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatal("the host said: ", scanner.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return dir
}

func TestCrash(t *testing.T) {
	for name, volatile := range map[string]string{"ACommandWhoseEngineWasKilledIsLost": "", "AVolatileStateOutlivesItsEngineToo": "yes"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(volatileVariable, volatile)
			testCrash(t)
		})
	}

	t.Run("ATornFrameIsCut", func(t *testing.T) {
		is := is.New(t)
		script := "seq 1000000 1099999; sleep " + mark(11)
		dir := crash(t, script, 100_000)
		segments, err := filepath.Glob(filepath.Join(dir, "state/v1/crash/*.seg"))
		is.NoErr(err)
		is.Equal(len(segments), 1)
		file, err := os.OpenFile(segments[0], os.O_WRONLY|os.O_APPEND, 0)
		is.NoErr(err)
		torn := shim.BuildFrame(100_001, exec.Stdout, time.Now(), "never", "whole")
		_, err = file.Write(torn[:len(torn)-5])
		is.NoErr(err)
		is.NoErr(file.Close())
		e := openEngine(t, filepath.Join(dir, "state"), nil)
		var out output
		_, err = e.Execute(context.Background(), dir, shell("crash", script), out.sink)
		is.True(errors.Is(err, exec.ErrLost))
		is.Equal(len(out.lines), 100_000)
		is.True(bytes.HasSuffix(out.bytes(exec.Stdout), []byte("\n1099999\n")))
		is.Equal(marked(t, mark(11)), nil)
	})

	t.Run("AClaimWithoutAStartRuns", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		is.NoErr(os.MkdirAll(filepath.Join(dir, "v1", "claimed"), 0o700))
		e := openEngine(t, dir, nil)
		_, result, err := run(t, e, shell("claimed", "exit 3"))
		is.NoErr(err)
		is.Equal(result.ExitCode, 3)
	})

	t.Run("AStartWithoutARecordedEndIsLost", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		folder := filepath.Join(dir, "v1", "started")
		is.NoErr(os.MkdirAll(folder, 0o700))
		cmd := shell("started", "exit 3")
		text := fmt.Sprintf(`{"started":{"id":"started","digest":%q}}`+"\n"+`{"exit":{"digest":%[1]q,"resu`, cmd.Digest())
		is.NoErr(os.WriteFile(filepath.Join(folder, "records.jsonl"), []byte(text), 0o600))
		e := openEngine(t, dir, nil)
		_, _, err := run(t, e, cmd)
		is.True(errors.Is(err, exec.ErrLost))
	})

	t.Run("AClaimWhoseRenameWasLostIsKnownByItsRecord", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		folder := filepath.Join(dir, "spare", "some")
		is.NoErr(os.MkdirAll(folder, 0o700))
		cmd := shell("renamed", "exit 3")
		text := fmt.Sprintf(`{"started":{"id":"renamed","digest":%q}}`, cmd.Digest())
		is.NoErr(os.WriteFile(filepath.Join(folder, "records.jsonl"), []byte(text), 0o600))
		for range 2 {
			e := openEngine(t, dir, nil)
			_, _, err := run(t, e, cmd)
			is.True(errors.Is(err, exec.ErrLost))
			is.NoErr(e.Close(context.Background()))
		}
	})
}

func testCrash(t *testing.T) {
	is := is.New(t)
	sleep := "sleep " + mark(10)
	script := "(setsid " + sleep + " >/dev/null 2>&1 &); env -i " + sleep + " & seq 1 1000; printf tail; " + sleep
	dir := crash(t, script, 1001)
	is.True(len(marked(t, sleep[6:])) >= 3) // orphans
	for range 2 {                           // and for ever
		e := openEngine(t, filepath.Join(dir, "state"), nil)
		is.Equal(marked(t, sleep[6:]), nil)
		var out output
		_, err := e.Execute(context.Background(), dir, shell("crash", script), out.sink)
		is.True(errors.Is(err, exec.ErrLost))
		is.Equal(len(out.lines), 1001)
		is.Equal(string(out.lines[999].Data), "1000")
		is.Equal(string(out.lines[1000].Data), "tail")
		_, err = e.Execute(context.Background(), dir, shell("crash", "other"), discard)
		is.True(errors.Is(err, exec.ErrConflict))
		is.NoErr(e.Cancel(context.Background(), "crash"))
		is.NoErr(e.Close(context.Background()))
	}
}
