package kubetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupMounts returns where the hierarchies of control groups are mounted, and
// whether there is only the one of version 2.
func cgroupMounts() (dirs []string, v2 bool, err error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, false, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[1], "/sys/fs/cgroup") || slices.Contains(dirs, f[1]) {
			continue
		}
		switch f[2] {
		case "cgroup2":
			v2 = v2 || f[1] == "/sys/fs/cgroup"
			dirs = append(dirs, f[1])
		case "cgroup":
			dirs = append(dirs, f[1])
		}
	}
	return dirs, v2, nil
}

// makeCgroups makes the control group that a kubelet keeps its pods in, in every
// hierarchy: a kubelet does not start if its cgroupRoot is not there.
func makeCgroups(name string) error {
	dirs, v2, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		own := filepath.Join(dir, name)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		// A cpuset of version 1 is born empty, and then takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil && !v2 {
				_ = os.WriteFile(filepath.Join(own, file), b, 0o644)
			}
		}
		if v2 {
			delegate(dir)
			delegate(own)
		}
	}
	return nil
}

// delegate lets the groups in dir have all controllers that dir has, as far as
// that is allowed; the kubelet complains about those that it misses.
func delegate(dir string) {
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, controller := range strings.Fields(string(b)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// thawCgroups lets frozen containers go on: in version 1 a frozen process cannot
// even be killed, and it stays frozen if its runc is killed while it updates it.
func thawCgroups(name string) {
	dirs, _, _ := cgroupMounts()
	for _, dir := range dirs {
		_ = filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
				if f, err := os.OpenFile(filepath.Join(path, file), os.O_WRONLY, 0); err == nil {
					_, _ = f.WriteString(value)
					_ = f.Close()
				}
			}
			return nil
		})
	}
}

// removeCgroups removes the control group and all below it. The processes in it
// must have ended; the kernel may take a moment to notice.
func removeCgroups(name string) error {
	dirs, _, err := cgroupMounts()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var failed error
		for _, dir := range dirs {
			failed = errors.Join(failed, removeGroup(filepath.Join(dir, name)))
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
	}
}

func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var failed error
	for _, e := range entries {
		if e.IsDir() {
			failed = errors.Join(failed, removeGroup(filepath.Join(dir, e.Name())))
		}
	}
	// rmdir, because the files of a group cannot be removed and need not be.
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		failed = errors.Join(failed, &fs.PathError{Op: "rmdir", Path: dir, Err: err})
	}
	return failed
}
