package kube_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/oddproc"
)

// TestKillScript runs the script on this machine, which a pod's shell is to run.
func TestKillScript(t *testing.T) {
	program := filepath.Join(t.TempDir(), "threadless")
	if out, err := osexec.Command("go", "build", "-o", program, "../../internal/oddproc/cmd/threadless").CombinedOutput(); err != nil {
		t.Fatalf("build threadless: %v\n%s", err, out)
	}
	shells := map[string][]string{"Sh": {"sh"}, "Bash": {"bash"}, "Busybox": {"busybox", "sh"}}
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			path, err := osexec.LookPath(shell[0])
			if err != nil {
				t.Fatal(err)
			}
			run := func(env []string, session, cookie string) string {
				nonce := rand.Text()
				cmd := osexec.Command(path, append(shell[1:], kube.BootArgv(nonce)[1:]...)...)
				cmd.Env = append(os.Environ(), env...)
				cmd.Stdin = bytes.NewReader(kube.KillInput(nonce, session, cookie, 0, true))
				var said bytes.Buffer
				cmd.Stderr = &said
				if err := cmd.Run(); err != nil {
					t.Fatal(err, said.String())
				}
				_, survivors, found := strings.Cut(said.String(), "rdev:"+nonce+":gone:")
				if !found {
					t.Fatal(said.String())
				}
				return strings.TrimSpace(survivors)
			}

			t.Run("AProcessWhoseFirstThreadHasEndedIsFoundByItsSession", func(t *testing.T) {
				is := is.New(t)
				pid := threadless(t, program, "")
				is.Equal(run(nil, strconv.Itoa(pid), "none"), "")
				is.True(!oddproc.LivesOn(pid))
			})

			t.Run("AProcessWhoseFirstThreadHasEndedIsFoundByItsCookie", func(t *testing.T) {
				is := is.New(t)
				cookie := rand.Text()
				pid := threadless(t, program, cookie)
				is.Equal(run(nil, "none", cookie), "")
				is.True(!oddproc.LivesOn(pid))
			})

			t.Run("AGrepThatKnowsNoZeroBytesWillDo", func(t *testing.T) {
				is := is.New(t)
				folder := t.TempDir()
				grep, err := osexec.LookPath("grep")
				is.NoErr(err)
				script := "#!/bin/sh\ncase $1 in *z*) exit 2 ;; esac\nexec " + grep + ` "$@"` + "\n"
				is.NoErr(os.WriteFile(filepath.Join(folder, "grep"), []byte(script), 0o755))
				cookie := rand.Text()
				pid := threadless(t, program, cookie)
				is.Equal(run([]string{"PATH=" + folder + ":" + os.Getenv("PATH")}, "none", cookie), "")
				is.True(!oddproc.LivesOn(pid))
			})
		})
	}
}

// threadless starts a process whose first thread has ended, in a session of
// its own.
func threadless(t *testing.T, program, cookie string) (pid int) {
	t.Helper()
	cmd := osexec.Command(program)
	cmd.Env = append(os.Environ(), "RDEV_COOKIE="+cookie)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		_ = cmd.Wait()
	})
	if text, err := io.ReadAll(io.LimitReader(stdout, 3)); err != nil || string(text) != "up\n" {
		t.Fatalf("the process says %q, %v", text, err)
	}
	return cmd.Process.Pid
}
