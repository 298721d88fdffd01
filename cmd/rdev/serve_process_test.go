package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is `rdev serve` as a program of its own, with a data folder and a
// project "here" of its own.
type process struct {
	t    *testing.T
	url  string
	said *buffer
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess starts it and waits until it is ready. It is killed when the
// test ends, if it still runs then.
func startProcess(t *testing.T, env ...string) *process {
	t.Helper()
	return startProcessIn(t, t.TempDir(), env...)
}

// startProcessIn is startProcess with the data folder dir, which is the
// project's, too.
func startProcessIn(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	program, err := exec.LookPath("rdev") // this test binary, see TestMain
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, said: new(buffer), done: make(chan struct{})}
	p.cmd = exec.Command(program, "serve")
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RDEV_DATA_DIR=" + dir, "RDEV_ADDR=127.0.0.1:0",
		"RDEV_PROJECTS=here=" + dir, "RDEV_ADMIN_KEY=" + sharedKey, "RDEV_LOG_FORMAT=json",
	}, env...)
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s", p.said.String())
		}
	})
	p.until("it comes up", func() bool {
		p.url = endpoint(dir)
		return p.url != ""
	})
	return p
}

// until waits for what must happen.
func (p *process) until(what string, happened func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within %v:\n%s", what, patience, p.said.String())
		}
	}
}

// terminate asks it to stop, as a supervisor does.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
}

// ended waits for its end and returns its exit code.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * patience):
		p.t.Fatalf("it does not end:\n%s", p.said.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ask sends a request with the admin key and returns the answer's whole body.
func (p *process) ask(method, path, body string, header ...string) (status int, answer string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sharedKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(b))
}
