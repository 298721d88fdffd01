package archtest

import (
	"slices"
	"strings"
	"testing"
)

// A home says where in this module a dependency may be imported. A dependency
// is all import paths with that prefix.
type home struct {
	dependency string
	at         string // patterns as in layers
}

// homes gives each dependency its place outside of tests. The ports (exec,
// auth, stream) and the client (server/client, stream/sse) stand in no row:
// they are the standard library alone.
var homes = []home{
	{"k8s.io", "exec/kube/... internal/kubetest/..."},
	{"mvdan.cc/sh/v3", "exec/policy"},
	{"github.com/lib/pq", "store/postgres internal/pgtest"},
	{"github.com/jmoiron/sqlx", "store/..."},
	{"github.com/pressly/goose/v3", "store/..."},
	{"modernc.org/sqlite", "store/sqlite"},
	{"github.com/julienschmidt/httprouter", "server"},
	{"github.com/go-json-experiment/json", "server"}, // strict JSON at the edge
	{"github.com/rs/zerolog", "server cmd/..."},
	{"github.com/prometheus", "server/metrics"},
	{"go.opentelemetry.io/otel/sdk", "cmd/..."},
	{"go.opentelemetry.io/otel/exporters", "cmd/..."},
	{"go.opentelemetry.io/otel", "rdev server exec/kube/... cmd/..."}, // the API alone
	{"github.com/spf13/cobra", "cmd/..."},
	{"github.com/spf13/pflag", "cmd/..."},
	{"github.com/knadh/koanf", "cmd/..."},
	{"golang.org/x/term", "cmd/..."},
	{"github.com/oklog/ulid/v2", "rdev"},
	{"github.com/cenkalti/backoff/v5", "rdev exec/kube/... store/postgres cmd/..."},
	{"github.com/klauspost/compress", "internal/pack"},
	{"golang.org/x/sync", "rdev exec/kube/... store/... server cmd/... internal/..."},
	{"golang.org/x/sys", "exec/shim/... exec/local cmd/... internal/..."},
}

// forTests is what tests may import beside: assertions, leak checks, scripts.
// Contract suites are no tests: they are packages that users import, and use
// the standard library alone.
var forTests = []string{
	"github.com/matryer/is",
	"go.uber.org/goleak",
	"github.com/rogpeppe/go-internal",
	"go.opentelemetry.io/proto/otlp",
	"google.golang.org/protobuf",
}

func TestEachDependencyStaysAtHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.foreign {
			i := slices.IndexFunc(homes, func(h home) bool { return match(h.dependency+"/...", imported) })
			switch {
			case i < 0:
				t.Errorf("%s imports %s, which has no home: use the standard library, or give it a row in homes and an entry in docs/decisions.md", p.name, imported)
			case !slices.ContainsFunc(strings.Fields(homes[i].at), func(pattern string) bool { return match(pattern, p.name) }):
				t.Errorf("%s must not import %s (its home: %s)", name(p.name), imported, homes[i].at)
			}
		}
	}
}

func TestTestsUseKnownDependencies(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.foreignInTests {
			known := slices.ContainsFunc(homes, func(h home) bool { return match(h.dependency+"/...", imported) }) ||
				slices.ContainsFunc(forTests, func(dependency string) bool { return match(dependency+"/...", imported) })
			if !known {
				t.Errorf("a test of %s imports %s, which stands neither in homes nor in forTests", p.name, imported)
			}
		}
	}
}

func TestOnlyContractSuitesImportTesting(t *testing.T) {
	for _, p := range packages(t) {
		if p.importsTesting && !strings.HasSuffix(p.name, "test") && !match("internal/...", p.name) {
			t.Errorf("%s imports testing outside of its tests", p.name)
		}
	}
}
