package walktest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// afterAFailure are metrics that are there once the server's own parts have failed:
// the only ones that a walk cannot bring about.
var afterAFailure = []string{"rdev_store_errors_total", "rdev_execute_errors_total"}

// checkPrometheus starts a Prometheus that scrapes the metrics at an address, with
// the alert rules of a checkout, and asks it what it sees: all rules, and every
// metric that they and the dashboard use.
func checkPrometheus(t *testing.T, checkout, metrics string) {
	t.Helper()
	rules := filepath.Join(checkout, "deploy", "alerts.yaml")
	dir := t.TempDir()
	env := os.Environ()
	promtool := program(t, "promtool", "prometheus")
	run(t, dir, env, promtool, "check", "rules", rules)
	config := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: rdev
    static_configs: [{targets: [%q]}]
`, rules, metrics), 0o600))
	run(t, dir, env, promtool, "check", "config", config)

	address := freeAddr(t)
	_, _, ended := background(t, dir, env, program(t, "prometheus", "prometheus"),
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	prometheus := "http://" + address
	answers(t, prometheus+"/-/ready", ended)

	eventually(t, "the target is up", func() bool {
		var targets struct {
			ActiveTargets []struct{ Health, LastError string }
		}
		ask(t, prometheus+"/api/v1/targets", &targets)
		return len(targets.ActiveTargets) == 1 && targets.ActiveTargets[0].Health == "up"
	})
	checkRules(t, prometheus, rules)

	used := expressions(t, checkout)
	var names, missing []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		ask(t, prometheus+"/api/v1/label/__name__/values", &names)
		if missing = without(used, names); len(missing) == 0 {
			break
		}
	}
	if len(missing) > 0 {
		t.Errorf("the rules and the dashboard use %q, which are not there", missing)
	}
	for _, expression := range used {
		var answer struct{ ResultType string }
		ask(t, prometheus+"/api/v1/query?query="+url.QueryEscape(expression), &answer)
	}
	if len(used) < 20 {
		t.Errorf("the rules and the dashboard have only %d expressions", len(used))
	}
	for _, name := range afterAFailure {
		if slices.Contains(names, name) {
			t.Errorf("%s is there: something failed", name)
		}
	}
}

// without returns the metrics that expressions name and that do not exist.
func without(expressions, names []string) (missing []string) {
	form := regexp.MustCompile(`\b(rdev|go|process)_[a-z_]+`)
	for _, expression := range expressions {
		for _, name := range form.FindAllString(expression, -1) {
			if !slices.Contains(names, name) && !slices.Contains(afterAFailure, name) && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// checkRules waits until each rule of the file was evaluated, without an error.
func checkRules(t *testing.T, prometheus, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	want := len(regexp.MustCompile(`(?m)^\s*- alert: `).FindAllString(string(text), -1))
	eventually(t, "all rules are evaluated and well", func() bool {
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, LastEvaluation string }
			}
		}
		ask(t, prometheus+"/api/v1/rules", &answer)
		well := 0
		for _, group := range answer.Groups {
			for _, rule := range group.Rules {
				if rule.Health == "err" {
					t.Fatalf("%s: %s", rule.Name, rule.LastError)
				}
				if rule.Health == "ok" {
					well++
				}
			}
		}
		return well == want && want > 0
	})
}

// expressions are those of the dashboard, with its variables filled in as Grafana
// does, and those of the rules.
func expressions(t *testing.T, checkout string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, "deploy", "dashboard.json"))
	must(t, err)
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(text, &dashboard))
	var all []string
	filled := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$project", ".*", "$job", "rdev")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, filled.Replace(target.Expr))
		}
	}
	rules, err := os.ReadFile(filepath.Join(checkout, "deploy", "alerts.yaml"))
	must(t, err)
	for _, rule := range regexp.MustCompile(`(?m)^\s+expr: (?:>-)?((?:.|\n)*?)\n\s+(?:for|labels):`).FindAllStringSubmatch(string(rules), -1) {
		all = append(all, strings.Join(strings.Fields(rule[1]), " "))
	}
	return all
}

// ask makes a request of Prometheus' API.
func ask(t *testing.T, url string, data any) {
	t.Helper()
	status, text := get(t, url)
	answer := struct {
		Status string
		Error  string
		Data   any
	}{Data: data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %d %s (%v)", url, status, text, err)
	}
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !true(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come true that %s", what)
		}
	}
}
