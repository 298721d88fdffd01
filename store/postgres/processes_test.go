//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
)

// replicaKey is the admin key of the replicas.
const replicaKey = "admin-key-of-the-replicas-of-no-use-elsewhere"

// TestProcessesThatAreKilled is the whole promise: servers (rdev serve) are
// killed and started again, one every two seconds, while readers hop between
// them at random. Each reader gets every line once, the same bytes as the
// others, and one end. The servers share a data folder, and with it the
// supervisor of their commands, which outlives them.
func TestProcessesThatAreKilled(t *testing.T) {
	for _, replicas := range []int{2, 3} {
		t.Run(strconv.Itoa(replicas)+"Replicas", func(t *testing.T) {
			commands, lines := 20, 10_000
			if testing.Short() {
				commands, lines = 4, 2_000
			}
			runAndKill(t, replicas, commands, lines)
		})
	}
}

// printer prints $1 lines over about ten seconds.
const printer = `i=0
while [ $i -lt $1 ]; do
	i=$((i+1))
	echo "line $i"
	[ $((i % ($1 / 20))) -ne 0 ] || sleep 0.5
done
`

func runAndKill(t *testing.T, n, commands, lines int) {
	program, workspace := build(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(workspace, "print.sh"), []byte(printer), 0o600); err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "rdev") // short: the path of a socket has 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "RDEV_DATA_DIR=" + home, "RDEV_PROJECTS=app=" + workspace,
		"RDEV_DATABASE_URL=" + pgtest.New(t, postgres.Migrate), "RDEV_ADMIN_KEY=" + replicaKey,
	}
	t.Cleanup(func() { endSupervisor(t, program, env, home) })
	replicas := make([]*process, n)
	for i := range replicas {
		replicas[i] = newProcess(t, program, append(env[:len(env):len(env)], "RDEV_ON_SHUTDOWN=leave"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	killing, stopKilling := context.WithCancel(ctx)
	kills := 0
	var killer, readers sync.WaitGroup
	killer.Go(func() {
		for tick := time.NewTicker(2 * time.Second); ; kills++ {
			select {
			case <-killing.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			r := replicas[kills%n]
			r.kill()
			r.start(t)
		}
	})
	const each = 2 // readers of a command
	sums := make([][each]uint64, commands)
	for c := range commands {
		readers.Go(func() {
			id := request(ctx, t, replicas, lines, fmt.Sprintf("%s-%d", t.Name(), c))
			var of sync.WaitGroup
			for i := range each {
				of.Go(func() {
					r := &hopper{t: t, replicas: replicas, id: id, sum: fnv.New64a()}
					r.read(ctx)
					if r.last != lines || r.ends != 1 {
						t.Errorf("%s: %d lines and %d ends, want %d and 1", id, r.last, r.ends, lines)
					}
					sums[c][i] = r.sum.Sum64()
				})
			}
			of.Wait()
		})
	}
	readers.Wait()
	stopKilling()
	killer.Wait()
	want := fnv.New64a()
	for i := range lines {
		fmt.Fprintf(want, "line %d\n", i+1)
	}
	for c := range sums {
		for i := range each {
			if sums[c][i] != want.Sum64() {
				t.Errorf("reader %d of command %d got other bytes", i, c)
			}
		}
	}
	t.Logf("%d commands of %d lines, %d kills", commands, lines, kills)
}

// A process is a replica.
type process struct {
	program string
	addr    string
	env     []string

	cmd *exec.Cmd
	log *os.File
}

func newProcess(t *testing.T, program string, env []string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	p := &process{program: program, addr: addr, env: append(env, "RDEV_ADDR="+addr), log: log}
	p.start(t)
	t.Cleanup(func() {
		p.kill()
		_ = log.Close() // it is read by its name
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%v %.4000s", err, text)
		}
	})
	return p
}

func (p *process) start(t *testing.T) {
	p.cmd = exec.Command(p.program, "serve")
	p.cmd.Env = p.env
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Error(err)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it is gone already
	_ = p.cmd.Wait()
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rdev")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/orchard9/rdev/cmd/rdev").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// endSupervisor ends what outlived the replicas: a server that cancels its
// commands takes the supervisor with it.
func endSupervisor(t *testing.T, program string, env []string, home string) {
	last := newProcess(t, program, append(env[:len(env):len(env)], "RDEV_ON_SHUTDOWN=cancel"))
	eventually(t, "ready", func() bool {
		resp, err := http.Get("http://" + last.addr + "/healthz")
		return err == nil && resp.Body.Close() == nil
	})
	if err := last.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := last.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(home); err != nil {
		t.Error(err)
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
