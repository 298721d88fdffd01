//go:build unix

package releasetest

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestReleaseIsReproducible builds a release twice, from two copies of the
// sources in folders of different names, and runs it.
func TestReleaseIsReproducible(t *testing.T) {
	is := is.New(t)
	build := func(folder string) (program string, sum [sha256.Size]byte) {
		t.Helper()
		source := filepath.Join(t.TempDir(), folder)
		copySources(t, source)
		platform := runtime.GOOS + "/" + runtime.GOARCH
		cmd := exec.Command(filepath.Join(source, "deploy", "release.sh"), platform, "out")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("release.sh: %v\n%s", err, out)
		}
		program = filepath.Join(source, "out", "rdev-"+runtime.GOOS+"-"+runtime.GOARCH)
		binary, err := os.ReadFile(program)
		is.NoErr(err)
		is.True(!strings.Contains(string(binary), source)) // no path of this machine
		return program, sha256.Sum256(binary)
	}
	program, one := build("one")
	_, other := build("another")
	is.Equal(one, other)
	out, err := exec.Command(program, "version").Output()
	is.NoErr(err)
	is.True(strings.HasPrefix(string(out), "rdev "))
}

// copySources copies the files that git knows of, or would if they were added.
func copySources(t *testing.T, to string) {
	t.Helper()
	const root = "../.."
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		from := filepath.Join(root, file)
		info, err := os.Stat(from)
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted since, or no file
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}
