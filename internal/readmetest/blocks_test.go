package readmetest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// A block is a fenced piece of the README.
type block struct {
	language string
	line     int // of its first line
	text     string
}

func blocks(markdown string) []block {
	var all []block
	var open *block
	for i, line := range strings.SplitAfter(markdown, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence, line: i + 2}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return all
}

// A step is a command of a terminal and what it prints.
type step struct{ command, output string }

func steps(console string) []step {
	var all []step
	for line := range strings.Lines(console) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, step{command: strings.TrimSpace(command)})
		} else if len(all) > 0 {
			all[len(all)-1].output += line
		}
	}
	return all
}

// pattern matches what the README shows: a line that is … alone stands for any
// lines, or none.
func pattern(shown string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for line := range strings.Lines(shown) {
		line = strings.TrimSpace(line)
		if line == "…" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		words := strings.Fields(line)
		for i, word := range words {
			words[i] = strings.ReplaceAll(regexp.QuoteMeta(word), "…", `[^\n]*?`)
		}
		b.WriteString(`[ \t]*` + strings.Join(words, `[ \t]*`) + `[ \t]*\n`)
	}
	b.WriteString(`$`)
	return regexp.MustCompile(b.String())
}

func TestBlocks(t *testing.T) {
	is := is.New(t)
	got := blocks("a\n```sh\nx\n```\n\n```console\n$ y\nz\n```\n")
	is.Equal(got, []block{{"sh", 3, "x\n"}, {"console", 7, "$ y\nz\n"}})
	is.Equal(steps(got[1].text), []step{{"y", "z\n"}})
}

func TestPattern(t *testing.T) {
	is := is.New(t)
	is.True(pattern("a  b\n").MatchString("a b\n"))
	is.True(pattern("a …\n").MatchString("a is here\n"))
	is.True(!pattern("a\n").MatchString("a\nb\n"))
	is.True(!pattern("a\nb\n").MatchString("a\n"))
	is.True(!pattern("a.c\n").MatchString("abc\n"))
	is.True(pattern("…\nb\n…\n").MatchString("a\nb\nc\n"))
	is.True(pattern("…\nb\n…\n").MatchString("b\n"))
	is.True(!pattern("…\nb\n…\n").MatchString("a\nc\n"))
	is.True(pattern("").MatchString(""))
	is.True(!pattern("").MatchString("a\n"))
}
