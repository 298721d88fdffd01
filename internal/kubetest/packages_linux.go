package kubetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is a program or file of the system that a cluster needs, with the Debian
// package that has it.
type tool struct {
	pkg string
	any []string // one of these must be there
}

const cniDir = "/usr/lib/cni"

var tools = []tool{
	{"etcd-server", []string{"etcd"}},
	{"containerd", []string{"containerd"}},
	{"runc", []string{"runc"}},
	{"containernetworking-plugins", []string{cniDir + "/ptp"}},
	{"busybox-static", []string{"busybox"}},
	{"debootstrap", []string{"debootstrap"}},
	{"debian-archive-keyring", []string{"/usr/share/keyrings/debian-archive-keyring.gpg"}},
}

// lookTool finds a program on the PATH, or where Debian puts those of the
// administrator, which the PATH of others may lack.
func lookTool(name string) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found", name)
}

func missingPackages() []string {
	var missing []string
	for _, t := range tools {
		found := false
		for _, name := range t.any {
			if _, err := lookTool(name); err == nil {
				found = true
			}
		}
		if !found {
			missing = append(missing, t.pkg)
		}
	}
	return missing
}

// installPackages sees to it that every tool is there. Where it may not install
// (not root, no apt-get), the error is the command for somebody who may.
func installPackages(ctx context.Context, cfg Config) error {
	if len(missingPackages()) == 0 {
		return nil
	}
	held, err := lock(ctx, filepath.Join(cfg.CacheDir, "apt.lock"))
	if err != nil {
		return err
	}
	defer held.Close()
	missing := missingPackages() // another process may just have installed them
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, missing...)
	byHand := fmt.Sprintf("run: sudo sh -c 'apt-get update && %s'", strings.Join(install, " "))
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing %s and no apt-get here; install them with your package manager, on Debian %s",
			strings.Join(missing, ", "), byHand)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing %s and only root may install them; %s", strings.Join(missing, ", "), byHand)
	}
	cfg.Logf("installing %s", strings.Join(missing, " "))
	if apt(ctx, install) == nil {
		return nil
	}
	// Most likely the package lists are absent or old.
	if err := apt(ctx, []string{"apt-get", "update"}); err != nil {
		return fmt.Errorf("%w; %s", err, byHand)
	}
	if err := apt(ctx, install); err != nil {
		return fmt.Errorf("%w; %s", err, byHand)
	}
	return nil
}

func apt(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// RUNLEVEL=1 keeps the packages from starting their services, which is none
	// of our business, where the machine has no systemd of its own.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, lastLines(string(out), 15))
	}
	return nil
}
