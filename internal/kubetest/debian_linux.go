package kubetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// What debianLayer is made of. The name of the cached file says all of it.
const (
	debianSuite    = "bookworm"
	debianPackages = "git"
)

// debianLeftOut is in no image: devices, which need privileges to unpack, and
// what only takes time to import.
var debianLeftOut = []string{
	"./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*",
	"./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./var/log/*",
}

// debianLayer returns a layer with a minimal Debian, which debootstrap makes
// once and the cache folder keeps.
//
// Rejected: mounting the host's /usr. It depends on what the host is and has,
// it is not an image, and a test could not write into it.
func debianLayer(ctx context.Context, cfg Config) (string, error) {
	file := filepath.Join(cfg.CacheDir, fmt.Sprintf("debian-%s-%s-%s.tar", debianSuite, debianPackages, runtime.GOARCH))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	held, err := lock(ctx, file+".lock")
	if err != nil {
		return "", err
	}
	defer held.Close()
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	root := file + ".root"
	if err := os.RemoveAll(root); err != nil {
		return "", err
	}
	defer os.RemoveAll(root)
	cfg.Logf("making a Debian userland with debootstrap (once; a minute or two)")
	err = niceInOwnMounts(ctx, "debootstrap", "--variant=minbase", "--include="+debianPackages, debianSuite, root)
	if err != nil {
		return "", err
	}
	partial := file + ".partial"
	defer os.Remove(partial)
	argv := []string{"tar", "-C", root, "--numeric-owner", "--sort=name", "-cf", partial}
	for _, pattern := range debianLeftOut {
		argv = append(argv, "--exclude="+pattern)
	}
	if err := niceInOwnMounts(ctx, append(argv, ".")...); err != nil {
		return "", err
	}
	return file, os.Rename(partial, file)
}

// niceInOwnMounts runs a program in a mount namespace of its own, so that what
// debootstrap mounts is gone when it has ended, however it ended.
func niceInOwnMounts(ctx context.Context, argv ...string) error {
	path, err := lookTool(argv[0])
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19", path}, argv[1:]...)...)
	cmd.Env = append(os.Environ(), searchPath, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, lastLines(string(out), 15))
	}
	return nil
}
