package kubetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/orchard9/rdev/internal/kubetest/supervise"
)

var errNodeEnded = errors.New("the node process of the cluster has ended")

// node is the caller's end of the program cmd/node.
type node struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // the node lives as long as this is open
	ended chan struct{}  // closed when the node, so all of the cluster, has ended

	mu      sync.Mutex
	enc     *json.Encoder
	last    int64
	pending map[int64]chan supervise.Reply
}

// startNode starts the program in new namespaces, with the data folder dir, and
// returns when they are ready. Output that is not a reply goes to the file log.
func startNode(ctx context.Context, program, dir, log string, keep ...string) (*node, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, append([]string{dir}, keep...)...)
	cmd.Dir = "/"
	// Not the caller's environment: etcd, for one, takes settings from it.
	cmd.Env = []string{searchPath, "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp")}
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Setsid:     true, // Ctrl-C in a terminal is for the caller, which then stops the cluster
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the node in namespaces of its own (that needs root): %w", err)
	}
	n := &node{
		cmd: cmd, stdin: stdin, ended: make(chan struct{}),
		enc: json.NewEncoder(stdin), pending: map[int64]chan supervise.Reply{},
	}
	ready := make(chan supervise.Reply, 1)
	n.pending[0] = ready
	go n.read(stdout)
	select {
	case r := <-ready:
		if r.Error == "" {
			return n, nil
		}
		err = errors.New(r.Error)
	case <-n.ended:
		err = errNodeEnded
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("start the node: %w%s", err, tail(log)), n.stop())
}

func (n *node) read(stdout io.Reader) {
	dec := json.NewDecoder(stdout)
	for {
		var r supervise.Reply
		if dec.Decode(&r) != nil {
			break
		}
		n.mu.Lock()
		reply := n.pending[r.ID]
		delete(n.pending, r.ID)
		n.mu.Unlock()
		if reply != nil {
			reply <- r
		}
	}
	_ = n.cmd.Wait() // returns once every process of the pid namespace is dead
	close(n.ended)
}

// call sends a request and waits for its reply.
func (n *node) call(ctx context.Context, r supervise.Request) (supervise.Reply, error) {
	reply := make(chan supervise.Reply, 1)
	n.mu.Lock()
	n.last++
	r.ID = n.last
	n.pending[r.ID] = reply
	err := n.enc.Encode(r)
	n.mu.Unlock()
	if err != nil {
		return supervise.Reply{}, fmt.Errorf("%w: %w", errNodeEnded, err)
	}
	select {
	case got := <-reply:
		if got.Error != "" {
			return got, errors.New(got.Error)
		}
		return got, nil
	case <-n.ended:
		return supervise.Reply{}, errNodeEnded
	case <-ctx.Done():
		return supervise.Reply{}, ctx.Err()
	}
}

// run starts a program under a name that no other has, and waits for its end.
func (n *node) run(ctx context.Context, name, log string, argv ...string) error {
	if _, err := n.call(ctx, supervise.Request{Op: supervise.OpStart, Name: name, Argv: argv, Log: log}); err != nil {
		return err
	}
	r, err := n.call(ctx, supervise.Request{Op: supervise.OpWait, Name: name})
	if err != nil {
		// Not left behind, since its caller gives up; the node reaps it.
		_, _ = n.call(context.WithoutCancel(ctx), supervise.Request{Op: supervise.OpSignal, Name: name, Signal: int(syscall.SIGKILL)})
		return fmt.Errorf("%s: %w%s", name, err, tail(log))
	}
	if r.Exit.Code != 0 || r.Exit.Signal != 0 {
		return fmt.Errorf("%s: %s%s", name, exitText(*r.Exit), tail(log))
	}
	return nil
}

func (n *node) stop() error {
	_ = n.stdin.Close()
	select {
	case <-n.ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	_ = n.cmd.Process.Kill()
	select {
	case <-n.ended:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("process %d and those below it do not end", n.cmd.Process.Pid)
	}
}

func exitText(e supervise.Exit) string {
	if e.Signal != 0 {
		return "ended by signal " + syscall.Signal(e.Signal).String()
	}
	return fmt.Sprintf("ended with code %d", e.Code)
}

// tail quotes the end of a log file, for an error.
func tail(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	if len(b) == 0 {
		return fmt.Sprintf("\n(%s is empty)", log)
	}
	return fmt.Sprintf("\nend of %s:\n%s", log, lastLines(string(b), 15))
}
