package claudetest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Version is the version of Claude Code that the tests run. install.sh has the
// same, with its digest.
const Version = "2.1.197"

// installCommand is said where the program is not there.
const installCommand = "internal/claudetest/install.sh"

// Dir returns the folder of the cache that has the program, whether it is there
// or not.
func Dir() (string, error) {
	cache := os.Getenv("RDEV_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("claudetest: no cache folder, set RDEV_CACHE: %w", err)
		}
		cache = filepath.Join(base, "rdev")
	}
	return filepath.Join(cache, "claude-code-"+Version+"-linux-x64"), nil
}

// Program returns the folder with the program claude. Without it, the test fails
// where CI is true, and is skipped elsewhere.
func Program(t testing.TB) string {
	t.Helper()
	dir, err := Dir()
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "claude"))
	}
	if err == nil {
		return dir
	}
	message := fmt.Sprintf("this test needs Claude Code %s, which is licensed software and not part of the project (%v); install it: %s", Version, err, installCommand)
	if os.Getenv("CI") == "true" && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// Env is the environment of a claude that talks to the stand-in at url, and to
// nothing else. home is a folder that need not be there yet.
func Env(home, path, url string) map[string]string {
	return map[string]string{
		"HOME": home, "PATH": path, "LANG": "C.UTF-8",
		"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy",
		"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
	}
}
