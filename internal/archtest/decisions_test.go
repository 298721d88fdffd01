package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// goWith are modules that come with another one's entry in docs/decisions.md.
var goWith = map[string]string{
	"k8s.io/api":             "k8s.io/client-go",
	"k8s.io/apimachinery":    "k8s.io/client-go",
	"k8s.io/klog/v2":         "k8s.io/client-go",
	"k8s.io/streaming":       "k8s.io/client-go",
	"github.com/spf13/pflag": "github.com/spf13/cobra",

	"go.opentelemetry.io/otel/trace": "go.opentelemetry.io/otel",
	"google.golang.org/protobuf":     "go.opentelemetry.io/proto/otlp",
}

// entry matches the first line of a dependency's entry.
var entry = regexp.MustCompile(`(?m)^\*\*([a-z0-9./_-]+\.[a-z0-9./_-]+)\*\* (v[0-9][^ ,\n]*)`)

// TestEachDependencyIsADecision: docs/decisions.md has an entry for each
// dependency that go.mod names directly, with its version, and for no other.
func TestEachDependencyIsADecision(t *testing.T) {
	is := is.New(t)
	out, err := exec.Command("go", "mod", "edit", "-json", "../../go.mod").Output()
	is.NoErr(err)
	var mod struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
	}
	is.NoErr(json.Unmarshal(out, &mod))
	text, err := os.ReadFile("../../docs/decisions.md")
	is.NoErr(err)
	decided := make(map[string]string)
	for _, match := range entry.FindAllStringSubmatch(string(text), -1) {
		decided[match[1]] = match[2]
	}
	for _, r := range mod.Require {
		version, ok := decided[r.Path]
		delete(decided, r.Path)
		switch {
		case ok && version != r.Version:
			t.Errorf("docs/decisions.md has %s %s, go.mod has %s", r.Path, version, r.Version)
		case !ok && !r.Indirect && goWith[r.Path] == "" && !strings.HasPrefix(r.Path, "github.com/knadh/koanf/"):
			t.Errorf("%s has no entry in docs/decisions.md", r.Path)
		}
	}
	for path := range decided {
		t.Errorf("docs/decisions.md has an entry for %s, which is not in go.mod", path)
	}
}
