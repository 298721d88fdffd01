package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Space is the private view of the file system that a cluster gets.
type Space struct {
	// Dir is the data folder of the cluster. Required. Its subfolder "var"
	// becomes /var, so that whatever Kubernetes keeps in fixed places below
	// /var is kept in the data folder.
	Dir string
	// Keep are folders that stay visible even if they are below /var or /run.
	Keep []string
}

// sysctls are the kernel settings that a kubelet or a network insists on, and the values it
// wants. They belong to the whole machine, so it is shown files that
// already say what it wants and that take what it writes.
var sysctls = []struct{ name, value string }{
	{"vm/overcommit_memory", "1"},
	{"vm/panic_on_oom", "0"},
	{"kernel/panic", "10"},
	{"kernel/panic_on_oops", "1"},
	{"kernel/keys/root_maxkeys", "1000000"},
	{"kernel/keys/root_maxbytes", "25000000"},
	// The plugin that makes the networks of pods wants to forward between them.
	{"net/ipv4/ip_forward", "1"},
}

// Enter makes the mounts of the calling process private and then rearranges
// them: a /proc of its own pid namespace, an empty /run, a /var that is kept in
// the data folder. The caller must be alone in a new mount and pid namespace.
func Enter(s Space) error {
	if os.Getpid() != 1 {
		return errors.New("not the first process of a pid namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Opened before /var and /run are covered, bound back after.
	keep := map[string]int{}
	for _, dir := range append([]string{s.Dir}, s.Keep...) {
		if !strings.HasPrefix(dir, "/var/") && !strings.HasPrefix(dir, "/run/") {
			continue
		}
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		keep[dir] = fd
	}
	if err := coverVarAndRun(s.Dir); err != nil {
		return err
	}
	for dir, fd := range keep {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
		_ = unix.Close(fd)
	}
	return coverSysctls(filepath.Join(s.Dir, "sysctl"))
}

func coverVarAndRun(dir string) error {
	private := filepath.Join(dir, "var")
	for _, d := range []string{"lib", "log", "tmp", "cache"} {
		if err := os.MkdirAll(filepath.Join(private, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(private, "run")); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Mount(private, "/var", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind /var: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return nil
}

func coverSysctls(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range sysctls {
		target := filepath.Join("/proc/sys", s.name)
		if _, err := os.Stat(target); err != nil {
			continue // a kernel without it
		}
		file := filepath.Join(dir, strings.ReplaceAll(s.name, "/", "."))
		if err := os.WriteFile(file, []byte(s.value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", target, err)
		}
	}
	return nil
}
