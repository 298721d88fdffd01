//go:build unix

package readmetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience covers compiling everything on a loaded machine.
const patience = 10 * time.Minute

func TestREADME(t *testing.T) {
	w := newWorld(t)
	readme, err := os.ReadFile(filepath.Join(w.folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	all := blocks(strings.ReplaceAll(string(readme), "127.0.0.1:8080", w.addr))
	for i, b := range all {
		switch b.language {
		case "console":
			ran++
			w.console(t, b)
		case "go":
			ran++
			if i+1 == len(all) || all[i+1].language != "text" {
				t.Fatalf("README.md:%d: a program without its output in a block ```text", b.line)
			}
			w.program(t, b, all[i+1])
		}
	}
	if ran < 4 {
		t.Errorf("README.md has %d blocks that run: it used to have more", ran)
	}
}

// A world is a fresh home with a clone named rdev in it.
type world struct {
	folder, addr string
	env          []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	module, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// The folder's name becomes the project's.
	w := &world{folder: filepath.Join(home, "rdev"), addr: freeAddr(t)}
	if err := os.Symlink(module, w.folder); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	goEnv := strings.Split(string(out), "\n")
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name != "HOME" && name != "PWD" && !strings.HasPrefix(name, "RDEV_") && !strings.HasPrefix(name, "XDG_") && !strings.HasPrefix(name, "GIT_") {
			w.env = append(w.env, variable)
		}
	}
	w.env = append(w.env, "HOME="+home, "PWD="+w.folder, "RDEV_ADDR="+w.addr, "NO_COLOR=1",
		"GOCACHE="+goEnv[0], "GOMODCACHE="+goEnv[1], "GOPATH="+goEnv[2],
		// Another user's clone is one to git as well.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	return w
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// console types the block's commands into one shell.
func (w *world) console(t *testing.T, b block) {
	t.Helper()
	const mark = "\x01end of step\x01\n"
	var script strings.Builder
	script.WriteString("exec 2>&1\nset -o pipefail\n")
	all := steps(b.text)
	for _, s := range all {
		if strings.HasSuffix(s.command, "rdev serve") {
			w.serve(t, b, s)
			return
		}
		fmt.Fprintf(&script, "%s\ncode=$?; [ $code = 0 ] || echo \"exit code $code\"\nprintf '%s'\n", s.command, strings.ReplaceAll(mark, "\n", `\n`))
	}
	cmd := w.command(t, "bash", "-c", script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("README.md:%d: %v\n%s", b.line, err, out)
	}
	outputs := strings.Split(string(out), mark)
	for i, s := range all {
		compare(t, b, s.command, s.output, outputs[i])
	}
}

// serve starts a server, waits until it has printed what is shown, and stops it
// when the test ends.
func (w *world) serve(t *testing.T, b block, s step) {
	t.Helper()
	cmd := w.command(t, "bash", "-c", "exec "+s.command)
	var out buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// go run does not pass signals on: they go to the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("the server did not stop within a minute:\n%s", out.String())
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if pattern(s.output).MatchString(out.String()) {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("README.md:%d: the server ended: %v\n%s", b.line, err, out.String())
		default:
		}
		// What is shown may be wrong as well as late: a server that answers has
		// said all it says.
		if conn, err := net.Dial("tcp", w.addr); err == nil {
			conn.Close()
			time.Sleep(time.Second)
			compare(t, b, s.command, s.output, out.String())
			return
		}
		if time.Now().After(deadline) {
			compare(t, b, s.command, s.output, out.String())
			t.FailNow()
		}
	}
}

// program compiles and runs a block ```go in the module.
func (w *world) program(t *testing.T, source, output block) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source.text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := w.command(t, "go", "run", file).CombinedOutput()
	if err != nil {
		t.Fatalf("README.md:%d: %v\n%s", source.line, err, out)
	}
	compare(t, output, "the program", output.text, string(out))
}

func (w *world) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = w.folder, w.env
	return cmd
}

func compare(t *testing.T, b block, command, shown, printed string) {
	t.Helper()
	if !pattern(shown).MatchString(printed) {
		t.Errorf("README.md:%d: %s\n--- shown:\n%s--- printed:\n%s", b.line, command, shown, printed)
	}
}

// A buffer is a bytes.Buffer that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
