package kubetest_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/kubetest"
)

// machineState is what a stopped cluster must not have changed. Each is a list
// with one entry a line.
type machineState struct {
	mounts, interfaces, folders, sysctls string
}

// besides returns s without the things that were there before. Some of those may
// be gone: the pods of another cluster end in their own time.
func (s machineState) besides(before machineState) machineState {
	for _, list := range []struct {
		now  *string
		then string
	}{{&s.mounts, before.mounts}, {&s.interfaces, before.interfaces}, {&s.folders, before.folders}} {
		more := ""
		for line := range strings.Lines(*list.now) {
			if !slices.Contains(slices.Collect(strings.Lines(list.then)), line) {
				more += line
			}
		}
		*list.now = more
	}
	return s
}

func stateOfMachine(t *testing.T) machineState {
	t.Helper()
	var s machineState
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		// Other tests of the machine may mount, too, but nothing of this kind.
		if strings.Contains(line, "kube") || strings.Contains(line, "containerd") || strings.Contains(line, "overlay") {
			s.mounts += line
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		s.interfaces += i.Name + "\n"
	}
	for _, dir := range []string{
		"/run/containerd", "/run/netns", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni",
		"/var/log/containers", "/var/log/pods", "/opt/containerd", "/usr/libexec/kubernetes",
	} {
		if _, err := os.Stat(dir); err == nil {
			s.folders += dir + "\n"
		}
	}
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys"} {
		b, _ := os.ReadFile(filepath.Join("/proc/sys", name))
		s.sysctls += name + "=" + string(b)
	}
	return s
}

// startTime tells a process from a later one with its id; "" if there is none.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return fields[19]
}

// groups returns the control groups of the clusters of one cache folder; other
// test processes have theirs, which come and go.
func groups(cache string) []string {
	prefix := fmt.Sprintf("rdev-kubetest-%.4x-", sha256.Sum256([]byte(filepath.Join(cache, "clusters"))))
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), prefix) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

func ownConfig(t *testing.T) kubetest.Config {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real cluster; not with -short")
	}
	cfg, err := kubetest.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Kubeconfig != "" {
		t.Skip("starting and stopping is not ours with RDEV_TEST_KUBECONFIG")
	}
	return cfg
}

func TestStop(t *testing.T) {
	t.Run("NothingStaysBehind", func(t *testing.T) {
		is := is.New(t)
		cfg := ownConfig(t)
		cfg.CacheDir = cacheOfItsOwn(t, cfg)
		before := stateOfMachine(t)
		is.Equal(len(groups(cfg.CacheDir)), 0)
		c, err := kubetest.Start(limited(t), cfg)
		if err != nil {
			t.Fatal(err)
		}
		stopped := false
		defer func() {
			if !stopped {
				_ = c.Stop()
			}
		}()
		_, err = c.CreatePod(limited(t), kubetest.Pod{EmptyDirs: []string{"/a"}})
		is.NoErr(err)
		pids, err := c.Processes()
		is.NoErr(err)
		is.True(len(pids) >= 1+4+3) // node, parts, and a shim with two containers
		starts := map[int]string{}
		for _, pid := range pids {
			starts[pid] = startTime(pid)
		}
		is.True(len(groups(cfg.CacheDir)) > 0)

		begin := time.Now()
		is.NoErr(c.Stop())
		stopped = true
		t.Logf("stopped in %s", time.Since(begin))
		for pid, start := range starts {
			if now := startTime(pid); now != "" && now == start {
				t.Errorf("process %d still runs", pid)
			}
		}
		is.Equal(stateOfMachine(t).besides(before), machineState{sysctls: before.sysctls})
		is.Equal(len(groups(cfg.CacheDir)), 0)
		_, err = os.Stat(c.Dir())
		is.True(os.IsNotExist(err))
	})
	t.Run("WhatAKilledOwnerLeavesTheNextStartRemoves", func(t *testing.T) {
		is := is.New(t)
		cfg := ownConfig(t)
		before := stateOfMachine(t)
		program := filepath.Join(t.TempDir(), "cluster")
		out, err := exec.CommandContext(limited(t), "go", "build", "-o", program, "./cmd/cluster").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cache := cacheOfItsOwn(t, cfg)
		cmd, dir := startCommand(t, program, cache)
		node := childOf(t, cmd.Process.Pid)
		start := startTime(node)
		is.NoErr(cmd.Process.Kill())
		_ = cmd.Wait()

		// The processes and mounts end by themselves ...
		for deadline := time.Now().Add(20 * time.Second); startTime(node) == start; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the node outlives its owner")
			}
		}
		is.Equal(stateOfMachine(t).besides(before), machineState{sysctls: before.sysctls})
		is.NoErr(os.WriteFile(filepath.Join(dir, "left"), nil, 0o644)) // ... but the folder does not.

		cmd, dir = startCommand(t, program, cache)
		_, err = os.Stat(filepath.Join(dir, "left"))
		is.True(os.IsNotExist(err))
		is.NoErr(cmd.Process.Signal(os.Interrupt)) // Ctrl-C
		is.NoErr(cmd.Wait())
		_, err = os.Stat(dir)
		is.True(os.IsNotExist(err))
		is.Equal(stateOfMachine(t).besides(before), machineState{sysctls: before.sysctls})
		is.Equal(len(groups(cache)), 0)
	})
}

// cacheOfItsOwn is a cache folder with the binaries of the usual one, so that
// its clusters are all the test's.
func cacheOfItsOwn(t *testing.T, cfg kubetest.Config) string {
	t.Helper()
	cache := t.TempDir()
	binaries, err := filepath.Glob(filepath.Join(cfg.CacheDir, "kube-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range binaries {
		if err := os.Symlink(path, filepath.Join(cache, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	return cache
}

// startCommand starts the command cluster and returns when it has one, with the
// cluster's data folder.
func startCommand(t *testing.T, program, cache string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	cmd = exec.Command(program, "-debian=false")
	cmd.Env = append(os.Environ(), "RDEV_CACHE="+cache)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed in between
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("cmd/cluster printed no kubeconfig: %v\n%s", err, stderr.String())
	}
	return cmd, filepath.Dir(strings.TrimSpace(line))
}

// childOf returns the one child of a process.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		b, _ := os.ReadFile(file)
		if f := strings.Fields(string(b)); len(f) > 0 {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("process %d has no child", parent)
	return 0
}
