package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
)

var codeSpan = regexp.MustCompile("`` ?(.+?) ?``|`([^`]+)`")

// TestWhatTheDocsSayOfBannedPieces plans every example in the table of
// docs/security.md, row by row.
func TestWhatTheDocsSayOfBannedPieces(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| piece | the rule | refused | allowed |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/security.md has no table of banned pieces")
	}
	rows := 0
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "|") {
			break
		}
		rows++
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(row), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "\x00", "|")
		}
		t.Run(strings.Trim(cells[1], " `"), func(t *testing.T) {
			for column, allowed := range map[int]bool{3: false, 4: true} {
				examples := codeSpan.FindAllStringSubmatch(cells[column], -1)
				if len(examples) == 0 {
					t.Errorf("column %d has no example", column)
				}
				for _, example := range examples {
					command := example[1] + example[2]
					for _, p := range []policy.Policy{{}, {Level: policy.Strict, Programs: []string{"ls", "echo", "grep", "cat", "make", "rm", "dd", "env", "sudo"}}} {
						if _, err := p.Plan(shellRequest(command)); (err == nil) != allowed {
							if p.Level == policy.Strict && strings.HasPrefix(command, "env ") || strings.HasPrefix(command, "sudo ") && p.Level == policy.Strict {
								continue // a launcher that is listed may start anything
							}
							t.Errorf("level %q, %s: got the error %v, allowed is %t", p.Level, command, err, allowed)
						}
					}
				}
			}
		})
	}
	if rows != 10 {
		t.Errorf("the table has %d rows", rows)
	}
}
