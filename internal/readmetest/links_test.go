package readmetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks: what the documents of this repository point to within it is there.
func TestLinks(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("find", ".", "-name", "*.md", "-not", "-path", "./.git/*")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	found := 0
	for document := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), filepath.FromSlash(match[1]))); err != nil {
				t.Errorf("%s points to %s, which is not there", document, match[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d links", found)
	}
}
