package auth_test

import (
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
)

func TestPatternValid(t *testing.T) {
	long := strings.Repeat("a", 63)
	for pattern, valid := range map[auth.Pattern]bool{
		"*": true, "api": true, "a": true, "9": true, "team-a-*": true, "team*": true,
		auth.Pattern(long): true, auth.Pattern(long + "*"): true,
		"": false, "**": false, "a*b": false, "*a": false, "-a": false, "a-": false, "-*": false,
		"API": false, "a_b": false, "a.b": false, "é": false, "a ": false, "a/../b": false,
		auth.Pattern(long + "a"): false, auth.Pattern(long + "a*"): false,
	} {
		t.Run(string(pattern), func(t *testing.T) { is.New(t).Equal(pattern.Valid(), valid) })
	}
}

func TestPatternMatch(t *testing.T) {
	for _, test := range []struct {
		pattern auth.Pattern
		project string
		match   bool
	}{
		{"*", "api", true},
		{"*", "", false},
		{"api", "api", true},
		{"api", "api-2", false},
		{"api", "ap", false},
		{"team-a-*", "team-a-api", true},
		{"team-a-*", "team-b-api", false},
		{"team-a-*", "team-a", false},
		{"team*", "team", true},
		{"a*b", "a*b", false},
		{"", "", false},
		{"", "api", false},
	} {
		t.Run(string(test.pattern)+" "+test.project, func(t *testing.T) {
			is.New(t).Equal(test.pattern.Match(test.project), test.match)
		})
	}
}

func TestPatternCovers(t *testing.T) {
	patterns := []auth.Pattern{"*", "a*", "ab*", "ab-*", "a", "ab", "abc", "ab-c", "b*", "", "a*b", "**"}
	projects := []string{"a", "ab", "abc", "ab-c", "ab-cd", "b", "ba"}
	for _, p := range patterns {
		t.Run(string(p)+" covers no more than it selects", func(t *testing.T) {
			is := is.New(t)
			for _, other := range patterns {
				for _, project := range projects {
					if p.Covers(other) && other.Match(project) {
						is.True(p.Match(project)) // what is covered is selected
					}
				}
			}
			is.Equal(p.Covers(p), p.Valid())
			is.Equal(auth.AllProjects.Covers(p), p.Valid())
		})
	}
	is := is.New(t)
	is.True(auth.Pattern("ab*").Covers("ab-*"))
	is.True(auth.Pattern("ab*").Covers("ab"))
	is.True(!auth.Pattern("ab-*").Covers("ab*"))
	is.True(!auth.Pattern("ab").Covers("ab*"))
	is.True(!auth.Pattern("ab*").Covers("*"))
}
