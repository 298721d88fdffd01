package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func TestPeppers(t *testing.T) {
	secret := strings.Repeat("sesame", 6)
	write := func(t *testing.T, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "peppers")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("TheFirstOneHashes", func(t *testing.T) {
		is := is.New(t)
		for _, c := range []Config{
			{PepperFile: write(t, "# newest first\n2026-11:"+secret+"\n\n2025-03:"+secret+"\n")},
			{Peppers: auth.NewSecret("2026-11:" + secret + ", 2025-03:" + secret)},
		} {
			hasher, err := keyHasher(c)
			is.NoErr(err)
			is.Equal(hasher.Algorithm(), "hmac-sha256:2026-11")
		}
		hasher, err := keyHasher(Config{Peppers: auth.NewSecret("sha256, 2026-11:" + secret)})
		is.NoErr(err)
		is.Equal(hasher.Algorithm(), auth.AlgorithmSHA256)
		hasher, err = keyHasher(Config{})
		is.NoErr(err)
		is.Equal(hasher.Algorithm(), auth.AlgorithmSHA256)
	})
	t.Run("WhatIsWrongIsSaidWithoutTheSecret", func(t *testing.T) {
		for name, c := range map[string]Config{
			"NoColon": {Peppers: auth.NewSecret(secret)},
			"Short":   {Peppers: auth.NewSecret("a:sesame")},
			"BadID":   {PepperFile: write(t, "Not An Id:"+secret)},
			"Twice":   {PepperFile: write(t, "a:"+secret+"\na:"+secret)},
			"Empty":   {PepperFile: write(t, " \n")},
			"Missing": {PepperFile: filepath.Join(t.TempDir(), "none")},
			"Large":   {PepperFile: write(t, strings.Repeat("x", maxPepperFile+1))},
			"Both":    {PepperFile: write(t, "a:"+secret), Peppers: auth.NewSecret("b:" + secret)},
		} {
			_, err := keyHasher(c)
			if err == nil || strings.Contains(err.Error(), "sesame") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
