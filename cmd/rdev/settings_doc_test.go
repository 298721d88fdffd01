package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// settingsTable is the table in docs/operations.md: each setting of the server
// and of the command line.
func settingsTable() string {
	var b strings.Builder
	for _, scope := range []struct{ name, heading string }{{"serve", "The server"}, {"client", "The command line"}} {
		fmt.Fprintf(&b, "**%s**\n\n| variable | flag | default | |\n|---|---|---|---|\n", scope.heading)
		for _, s := range settings() {
			if s.scope != scope.name {
				continue
			}
			flag, fallback := "", ""
			if s.flag != "" {
				flag = "`--" + s.flag + "`"
			}
			if s.fallback != "" {
				fallback = "`" + s.fallback + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.env(), flag, fallback, s.help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestSettingsTable holds the table in docs/operations.md to Config.
// RDEV_UPDATE_DOCS=1 writes it.
func TestSettingsTable(t *testing.T) {
	const path, begin, end = "../../docs/operations.md", "<!-- settings: begin -->\n", "<!-- settings: end -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings", path)
	}
	want := "\n" + settingsTable()
	if table == want {
		return
	}
	if os.Getenv("RDEV_UPDATE_DOCS") == "" {
		t.Fatalf("the settings in %s are not those of Config; RDEV_UPDATE_DOCS=1 go test ./cmd/rdev -run SettingsTable writes these:\n%s", path, want)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
