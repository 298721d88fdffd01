package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/matryer/is"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/server/metrics"
)

// registered returns the labels of every metric that there is.
func registered() map[string][]string {
	m := metrics.New()
	m.Streams(func() map[string]int { return nil })
	descs := make(chan *prometheus.Desc, 1000)
	m.Registry().Describe(descs)
	close(descs)
	known := make(map[string][]string)
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for desc := range descs {
		if parts := form.FindStringSubmatch(desc.String()); parts != nil {
			known[parts[1]] = strings.Split(parts[2], ",")
		}
	}
	return known
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
