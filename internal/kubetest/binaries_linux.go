package kubetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// kubePrograms are built from the modules in the folders that they stand under.
var kubePrograms = map[string][]string{
	"binaries":    {"kube-apiserver", "kubelet", "kubectl"},
	"controllers": {"kube-controller-manager", "kube-scheduler"},
}

// sourceDir finds this package's folder: where the compiler saw it, or, in a
// binary built with -trimpath, in the module around the working folder.
func sourceDir() (string, error) {
	isIt := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "binaries", "go.mod"))
		return err == nil
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) && isIt(filepath.Dir(file)) {
		return filepath.Dir(file), nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if here := filepath.Join(dir, "internal", "kubetest"); isIt(here) {
			return here, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder internal/kubetest in %s or above it: run this inside a checkout of rdev", wd)
		}
	}
}

// kubeVersion reads from the module which Kubernetes it builds.
func kubeVersion(module string) (string, error) {
	file := filepath.Join(module, "go.mod")
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(sc.Text()), "require "))
		if len(words) >= 2 && words[0] == "k8s.io/kubernetes" && strings.HasPrefix(words[1], "v") {
			return words[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require k8s.io/kubernetes", file)
}

// kubeBinaries returns the folder with the programs of Kubernetes that one of the
// modules makes, after having built them if they are not in the cache. The folder
// is named after the version and the digest of go.sum, appears with everything in
// it or not at all, and is built by one process at a time.
func kubeBinaries(ctx context.Context, cfg Config, from string) (string, error) {
	src, err := sourceDir()
	if err != nil {
		return "", err
	}
	module := filepath.Join(src, from)
	version, err := kubeVersion(module)
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cfg.CacheDir, fmt.Sprintf("kube-%s-%.6x", version, sha256.Sum256(sum)))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	held, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer held.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	partial := dir + ".partial" // of a build that was killed, if it is there
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	for _, name := range kubePrograms[from] {
		cfg.Logf("building %s %s (once; minutes)", name, version)
		begin := time.Now()
		if err := buildKube(ctx, module, version, name, filepath.Join(partial, name)); err != nil {
			return "", err
		}
		cfg.Logf("built %s in %s", name, time.Since(begin).Round(time.Second))
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	return dir, nil
}

func buildKube(ctx context.Context, module, version, name, out string) error {
	const pkg = "k8s.io/component-base/version"
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	// Without its version a kubelet does not register and kubectl warns.
	ldflags := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
		pkg, version, major, minor)
	return goBuild(ctx, module, "k8s.io/kubernetes/cmd/"+name, out, "-trimpath", "-ldflags", ldflags)
}

// goBuild builds one static program, at the lowest priority: a build of minutes
// must not disturb the tests of others on the machine.
func goBuild(ctx context.Context, dir, pkg, out string, flags ...string) error {
	argv := append([]string{"-n", "19", "go", "build", "-buildvcs=false", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "nice", append(argv, pkg)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.WaitDelay = time.Second
	b, err := cmd.CombinedOutput()
	if err != nil {
		if _, noGo := exec.LookPath("go"); noGo != nil {
			err = errors.Join(err, noGo)
		}
		return fmt.Errorf("go build %s in %s: %w\n%s", pkg, dir, err, lastLines(string(b), 20))
	}
	return nil
}

// lastLines returns the last n lines of s.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
