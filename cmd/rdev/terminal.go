package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A style is a sequence of SGR parameters.
type style string

const (
	bold style = "1"
	dim  style = "2"
)

// paint colours text for standard error if that is a terminal which wants it.
func (a *app) paint(s style, text string) string { return paint(a.stderr, a.getenv, s, text) }

func paint(w io.Writer, getenv func(string) string, s style, text string) string {
	if !isTerminal(w) || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// notice says something of rdev's own, dimmed, on standard error.
func (a *app) notice(format string, args ...any) {
	fmt.Fprintln(a.stderr, a.paint(dim, printable("rdev: "+fmt.Sprintf(format, args...))))
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printable replaces what could steer a terminal. What commands print reaches
// the terminal as it is, as with ssh; but names, arguments and messages that
// stand among rdev's own words may not change what those say.
func printable(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unsafeRune(r):
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unsafeRune finds control and formatting characters, the bidirectional ones
// among them. A newline may stay: messages have several lines.
func unsafeRune(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
}
