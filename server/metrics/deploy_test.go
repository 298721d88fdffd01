package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/matryer/is"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/metrics"
)

// A described is what a metric says of itself.
type described struct {
	name, help string
	labels     []string
}

// all returns every metric that there is, by name.
func all() []described {
	m := metrics.New()
	m.Streams(func() map[string]int { return nil })
	m.Waiting(rdev.NewMemoryCommands())
	descs := make(chan *prometheus.Desc, 1000)
	m.Registry().Describe(descs)
	close(descs)
	var known []described
	form := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	for desc := range descs {
		if parts := form.FindStringSubmatch(desc.String()); parts != nil {
			known = append(known, described{parts[1], parts[2], strings.Split(parts[3], ",")})
		}
	}
	slices.SortFunc(known, func(a, b described) int { return strings.Compare(a.name, b.name) })
	return known
}

// registered returns the labels of every metric that there is.
func registered() map[string][]string {
	known := make(map[string][]string)
	for _, d := range all() {
		known[d.name] = d.labels
	}
	return known
}

// TestMetricsTable holds the table in docs/operations.md to the metrics.
// RDEV_UPDATE_DOCS=1 writes it.
func TestMetricsTable(t *testing.T) {
	const path, begin, end = "../../docs/operations.md", "<!-- metrics: begin -->\n", "<!-- metrics: end -->"
	var want strings.Builder
	want.WriteString("\n| metric | labels | |\n|---|---|---|\n")
	for _, d := range all() {
		if strings.HasPrefix(d.name, "rdev_") {
			fmt.Fprintf(&want, "| `%s` | %s | %s |\n", d.name, strings.Join(d.labels, ", "), d.help)
		}
	}
	want.WriteString("\n")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	table, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no place for the metrics", path)
	case table == want.String():
	case os.Getenv("RDEV_UPDATE_DOCS") == "":
		t.Fatalf("the metrics in %s are not those that there are; RDEV_UPDATE_DOCS=1 go test ./server/metrics -run MetricsTable writes these:\n%s", path, want.String())
	default:
		if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check finds the names of metrics and labels in a PromQL expression that do
// not exist, and returns the metrics that do.
func check(t *testing.T, known map[string][]string, expr string) (used []string) {
	t.Helper()
	labels := []string{"le", "job", "instance"}
	for _, name := range regexp.MustCompile(`\b(rdev|go|process)_[a-z_]+`).FindAllString(expr, -1) {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if _, ok := known[name]; !ok {
				name = strings.TrimSuffix(name, suffix)
			}
		}
		if _, ok := known[name]; !ok {
			t.Errorf("there is no metric %s, in %s", name, expr)
		}
		used = append(used, name)
		labels = append(labels, known[name]...)
	}
	for _, group := range regexp.MustCompile(`by \(([^)]*)\)|\{([^}]*)\}`).FindAllStringSubmatch(expr, -1) {
		for part := range strings.SplitSeq(group[1]+group[2], ",") {
			label := strings.TrimSpace(regexp.MustCompile(`[=!].*`).ReplaceAllString(part, ""))
			if !slices.Contains(labels, label) {
				t.Errorf("no metric of %s has the label %q", expr, label)
			}
		}
	}
	return used
}

// TestDeployedRules: what the dashboard and the alerts ask for exists, and the
// dashboard shows every metric of rdev.
func TestDeployedRules(t *testing.T) {
	known := registered()
	t.Run("Dashboard", func(t *testing.T) {
		is := is.New(t)
		text, err := os.ReadFile("../../deploy/dashboard.json")
		is.NoErr(err)
		var dashboard struct {
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ Expr string }
			}
		}
		is.NoErr(json.Unmarshal(text, &dashboard))
		var shown []string
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				shown = append(shown, check(t, known, target.Expr)...)
			}
		}
		for name := range known {
			if strings.HasPrefix(name, "rdev_") && !slices.Contains(shown, name) {
				t.Errorf("the dashboard does not show %s", name)
			}
		}
	})
	t.Run("Alerts", func(t *testing.T) {
		is := is.New(t)
		text, err := os.ReadFile("../../deploy/alerts.yaml")
		is.NoErr(err)
		rules, err := yaml.Parser().Unmarshal(text)
		is.NoErr(err)
		found := 0
		for _, group := range rules["groups"].([]any) {
			for _, rule := range group.(map[string]any)["rules"].([]any) {
				rule := rule.(map[string]any)
				is.True(len(check(t, known, rule["expr"].(string))) > 0)
				is.True(rule["annotations"].(map[string]any)["summary"] != "")
				found++
			}
		}
		is.True(found > 0)
	})
}
