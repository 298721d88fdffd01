package kubetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Config says where a cluster comes from.
type Config struct {
	// CacheDir keeps what is slow to make (binaries, the Debian image) and the
	// data folders of running clusters. Required.
	CacheDir string

	// Kubeconfig names the cluster to use. Defaults to "", which starts one.
	Kubeconfig string

	// Logf is told what takes long, before it is done. Defaults to nothing.
	Logf func(format string, args ...any)
}

// ConfigFromEnv is the configuration that tests use: RDEV_CACHE, or else the
// folder rdev in XDG_CACHE_HOME or in ~/.cache; RDEV_TEST_KUBECONFIG; progress
// on standard error.
func ConfigFromEnv() (Config, error) {
	c := Config{
		CacheDir:   os.Getenv("RDEV_CACHE"),
		Kubeconfig: os.Getenv("RDEV_TEST_KUBECONFIG"),
		Logf: func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "kubetest: "+format+"\n", args...)
		},
	}
	if c.CacheDir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return Config{}, fmt.Errorf("kubetest: no cache folder, set RDEV_CACHE: %w", err)
		}
		c.CacheDir = filepath.Join(base, "rdev")
	}
	return c, nil
}

func (c Config) withDefaults() Config {
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return c
}

func (c Config) validate() error {
	if c.CacheDir == "" {
		return errors.New("kubetest: Config.CacheDir is required")
	}
	if !filepath.IsAbs(c.CacheDir) {
		return fmt.Errorf("kubetest: Config.CacheDir %q is not absolute", c.CacheDir)
	}
	return nil
}
