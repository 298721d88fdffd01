package archtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// A layer says which packages of this module a package may import, tests
// aside. Patterns are relative to the module; "x/..." is x and all below it.
type layer struct {
	pkg string
	may string
}

// layers is the direction of the module, from the bottom up. The first row
// that matches a package counts. The ports know neither each other nor
// anything above; an adapter knows the port that it implements; rdev, where
// the ports meet, knows no adapter; cmd wires.
var layers = []layer{
	{"exec", ""},
	{"exec/exectest", "exec"},
	{"exec/policy", "exec"},
	{"exec/shim/...", "exec exec/shim/... internal/pack"},
	{"exec/local", "exec exec/shim/..."},
	{"exec/kube/...", "exec exec/shim/... exec/policy rdev"}, // rdev: it implements Projects
	{"auth", ""},
	{"auth/authtest", "auth"},
	{"stream", ""},
	{"stream/streamtest", "stream"},
	{"stream/sse", ""},
	{"internal/mask", ""}, // finds secrets in text
	{"rdev", "exec exec/policy auth stream internal/claudeout internal/mask"},
	{"rdev/rdevtest", "rdev exec exec/policy auth stream"},
	{"internal/pack", ""},                                                                               // makes output smaller
	{"internal/chunk", "stream internal/pack"},                                                          // how the stores keep events
	{"store/...", "rdev exec exec/policy auth stream internal/chunk"},                                   // rdev: they implement Commands
	{"server/client", "stream/sse"},                                                                     // so that users' programs stay small
	{"server", "rdev exec exec/policy auth stream stream/sse"},                                          // no adapter
	{"server/metrics", "server rdev exec auth stream"},                                                  // counts around the ports
	{"cmd/...", "rdev/... exec/... auth stream/... store/... server/... internal/doctor internal/mask"}, // the one place that wires
	{"examples/...", "rdev/... exec/... auth/... stream/... store/... server/..."},
	{"bench/...", ""}, // tests alone
	{"internal/...", "rdev/... exec/... auth/... stream/... store/... server/... internal/..."},
	{"", ""}, // the module's root is documentation
}

func TestImportsFollowTheLayers(t *testing.T) {
	for _, p := range packages(t) {
		i := slices.IndexFunc(layers, func(l layer) bool { return match(l.pkg, p.name) })
		if i < 0 {
			t.Errorf("%s has no row in layers: say what it may import", name(p.name))
			continue
		}
		for _, imported := range p.own {
			if !slices.ContainsFunc(strings.Fields(layers[i].may), func(pattern string) bool { return match(pattern, imported) }) {
				t.Errorf("%s must not import %s (it may import: %s)", name(p.name), name(imported), orNothing(layers[i].may))
			}
		}
	}
}

// TestNothingBuildsOnExamples: tests may use what they like of this module, but
// nothing, not even a test, builds on an example.
func TestNothingBuildsOnExamples(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.ownInTests {
			if match("examples/...", imported) && imported != p.name {
				t.Errorf("a test of %s imports %s", name(p.name), imported)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	is := is.New(t)
	is.True(match("exec", "exec"))
	is.True(match("exec/...", "exec"))
	is.True(match("exec/...", "exec/shim/wire"))
	is.True(!match("exec/...", "executor"))
	is.True(!match("exec", "exec/shim"))
	is.True(!match("", "exec"))
}

// match reports whether pattern covers the import path, both relative.
func match(pattern, path string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return path == prefix || below && strings.HasPrefix(path, prefix+"/")
}

func name(path string) string {
	if path == "" {
		return "the root package"
	}
	return path
}

func orNothing(list string) string {
	if list == "" {
		return "nothing of this module"
	}
	return list
}
