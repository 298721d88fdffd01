// Package helmtest renders the chart in deploy/helm with the real helm, which it
// builds from the module in the folder binary, once, into the cache folder.
//
// Its tests hold deploy/kubernetes, which is the chart rendered with its default
// values, to the chart.
package helmtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// patience covers compiling helm on a loaded machine.
const patience = 30 * time.Minute

// Release is the name under which the chart is rendered here, and Namespace the
// namespace.
const (
	Release   = "rdev"
	Namespace = "rdev"
)

// Helm runs helm in the folder deploy/helm and returns what it prints on standard
// output; the error has what it prints beside.
func Helm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = filepath.Join(root, "deploy", "helm")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	var out, beside bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &beside
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %q: %w\n%s%s", args, err, beside.String(), out.String())
	}
	return out.String(), nil
}

// Template is "helm template" of the chart: its manifests.
func Template(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Helm(t, append([]string{"template", Release, "rdev", "--namespace", Namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// binary is the path of helm. It is a variable because building is once a process.
var binary = sync.OnceValues(build)

// build builds helm into the cache, in a folder named after the digest of go.sum,
// where it appears whole or not at all.
func build() (string, error) {
	cache := os.Getenv("RDEV_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("helmtest: no cache folder, set RDEV_CACHE: %w", err)
		}
		cache = filepath.Join(base, "rdev")
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "internal", "helmtest", "binary")
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", fmt.Errorf("helmtest: %w", err)
	}
	program := filepath.Join(cache, fmt.Sprintf("helm-%.6x", sha256.Sum256(sum)), "helm")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", fmt.Errorf("helmtest: %w", err)
	}
	partial := fmt.Sprintf("%s.%d", program, os.Getpid())
	defer os.Remove(partial)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fmt.Fprintln(os.Stderr, "helmtest: building helm (once; minutes)")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", partial, "helm.sh/helm/v4/cmd/helm")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("helmtest: go build: %w\n%s", err, out)
	}
	if err := os.Rename(partial, program); err != nil {
		return "", fmt.Errorf("helmtest: %w", err)
	}
	return program, nil
}

// moduleRoot is the folder of the module that this file belongs to.
func moduleRoot() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("helmtest: built with -trimpath, so its sources cannot be found")
	}
	return filepath.Join(filepath.Dir(file), "..", ".."), nil
}
