package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestDeployedSettings: the variables that the files in deploy set exist. The
// chart's are those of kubernetes/rdev.yaml.
func TestDeployedSettings(t *testing.T) {
	known := []string{"RDEV_CONFIG", "RDEV_UPDATE_DOCS"} // the latter is for the test that makes manifests
	for _, s := range settings() {
		known = append(known, s.env())
	}
	found := 0
	for _, name := range []string{"Dockerfile", "rdev.service", "kubernetes/rdev.yaml", "../compose.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range regexp.MustCompile(`RDEV_[A-Z_]+`).FindAllString(string(text), -1) {
			found++
			if !slices.Contains(known, variable) {
				t.Errorf("deploy/%s names %s, which is no setting", name, variable)
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d variables", found)
	}
}
