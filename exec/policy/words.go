package policy

import (
	"errors"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// split returns the words of a command line that is one simple command of
// literal words, exactly as a shell would hand them to the program, and the
// 1-based columns where they begin. Everything that a shell would act upon
// beyond that is refused.
func split(command string) (argv []string, columns []int, err error) {
	// The parser drops a CR before a newline and takes others for blanks,
	// where shells keep them.
	if i := strings.IndexByte(command, '\r'); i >= 0 {
		return nil, nil, refuseAt(command, "shell.control", i, i+1, "a carriage return cannot be given in a command line; use argv")
	}
	short, err := shorten(command)
	if err != nil {
		return nil, nil, err
	}
	argv, columns, err = splitAs(short, syntax.LangBash)
	if err != nil {
		return nil, nil, err
	}
	if len(short) < len(command) {
		// Cannot be: it was cut because something in it is never accepted.
		return nil, nil, refuseAt(command, "shell.syntax", 0, len(command), "this is more than one simple command of plain words")
	}
	posix, _, err := splitAs(command, syntax.LangPOSIX)
	if err != nil || !slices.Equal(argv, posix) {
		refusal := refuseAt(command, "shell.dialect", 0, len(command), "shells do not agree on what this means; quote it, or use argv")
		if narrower := (*Refusal)(nil); errors.As(err, &narrower) {
			refusal.Token, refusal.Column = narrower.Token, narrower.Column
		}
		return nil, nil, refusal
	}
	return argv, columns, nil
}

func splitAs(command string, lang syntax.LangVariant) ([]string, []int, error) {
	parser := syntax.NewParser(syntax.Variant(lang), syntax.KeepComments(true))
	file, err := parser.Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, nil, refuseParse(command, err)
	}
	if refusal := firstOffence(command, file); refusal != nil {
		return nil, nil, refusal
	}
	if len(file.Stmts) != 1 {
		return nil, nil, fieldErrorf("command", "is empty: there is no program to run")
	}
	call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return nil, nil, refuseAt(command, "shell.syntax", 0, len(command), "this is not one simple command")
	}
	var argv []string
	var columns []int
	for _, word := range call.Args {
		chars, refusal := literal(command, word)
		if refusal != nil {
			return nil, nil, refusal
		}
		if refusal := checkUnquoted(command, chars); refusal != nil {
			return nil, nil, refusal
		}
		text := make([]byte, len(chars))
		for i, c := range chars {
			text[i] = c.b
		}
		argv = append(argv, string(text))
		columns = append(columns, offset(word.Pos())+1)
	}
	return argv, columns, nil
}

// A char is a byte of a word after quote removal.
type char struct {
	b      byte
	quoted bool
	at     int // its offset in the command line
}

// literal removes the quotes of a word. It reads the source rather than the
// parser's values, in which columns are lost behind a continued line.
func literal(command string, word *syntax.Word) ([]char, *Refusal) {
	var chars []char
	var add func(part syntax.WordPart, within bool) *Refusal
	add = func(part syntax.WordPart, within bool) *Refusal {
		start, end := offset(part.Pos()), offset(part.End())
		switch part := part.(type) {
		case *syntax.Lit:
			for i := start; i < end; i++ {
				switch {
				case strings.HasPrefix(command[i:], "\\\n"): // a continued line
					i++
				case strings.HasPrefix(command[i:], "$\\\n"):
					return refuseAt(command, "shell.expansion", i, i+1, "shells do not agree on a $ before a continued line")
				case command[i] != '\\':
					chars = append(chars, char{command[i], within, i})
				case i+1 == end:
					return refuseAt(command, "shell.syntax", i, i+1, "there is nothing behind this backslash; use '…' if it is text")
				case within && !strings.ContainsRune("$`\"\\", rune(command[i+1])):
					chars = append(chars, char{'\\', true, i})
				default:
					i++
					chars = append(chars, char{command[i], true, i})
				}
			}
		case *syntax.SglQuoted:
			if part.Dollar {
				return refuseAt(command, "shell.quote", start, start+2, "$'…' is not allowed; use '…' or argv")
			}
			for i := start + 1; i < end-1; i++ {
				chars = append(chars, char{command[i], true, i})
			}
		case *syntax.DblQuoted:
			if part.Dollar {
				return refuseAt(command, "shell.quote", start, start+2, `$"…" is not allowed; use "…" or argv`)
			}
			for _, inner := range part.Parts {
				if refusal := add(inner, true); refusal != nil {
					return refusal
				}
			}
		default:
			return refuseAt(command, "shell.expansion", start, end, "only literal words are allowed; quote it with '…' if it is text")
		}
		return nil
	}
	for _, part := range word.Parts {
		if refusal := add(part, false); refusal != nil {
			return nil, refusal
		}
	}
	return chars, nil
}

// checkUnquoted refuses what a shell expands in a word that has no
// substitutions: globs, braces, tildes.
func checkUnquoted(command string, chars []char) *Refusal {
	refuse := func(c char, code, reason string) *Refusal {
		return refuseAt(command, code, c.at, c.at+1, reason)
	}
	brace, assigned := braceAt(chars), assignmentAt(chars)
	for i, c := range chars {
		if c.quoted {
			continue
		}
		switch {
		case strings.IndexByte("*?[", c.b) >= 0:
			return refuse(c, "shell.glob", "a file name pattern is not expanded here; quote it if it is text")
		case i == brace:
			return refuse(c, "shell.brace", "a brace expansion is not allowed; quote it if it is text")
		case c.b == '~' && (i == 0 || assigned > 0 && i > assigned && !chars[i-1].quoted && (chars[i-1].b == '=' || chars[i-1].b == ':')):
			return refuse(c, "shell.tilde", "a home folder is not expanded here; quote it if it is text")
		case c.b < ' ' || c.b == 0x7f:
			return refuse(c, "shell.control", "a control character outside quotes is not allowed")
		}
	}
	return nil
}

// braceAt returns the index of the brace that may be expanded, or -1: {a,b} and
// {1..3} are, {} and @{1} are not. If any brace is, then the first one is.
func braceAt(chars []char) int {
	open, separated := -1, false
	for i, c := range chars {
		switch {
		case c.quoted:
		case c.b == '{' && open < 0:
			open = i
		case open >= 0 && (c.b == ',' || c.b == '.' && chars[i-1].b == '.' && !chars[i-1].quoted):
			separated = true
		case separated && c.b == '}':
			return open
		}
	}
	return -1
}

// assignmentAt returns the index of the = in a word that looks like an
// assignment, or -1. bash expands tildes in those, behind the = and each colon,
// where they are arguments too.
func assignmentAt(chars []char) int {
	for i, c := range chars {
		switch {
		case c.quoted:
			return -1
		case c.b == '=':
			return i
		case c.b == '_', 'a' <= c.b|0x20 && c.b|0x20 <= 'z', i > 0 && '0' <= c.b && c.b <= '9', i > 0 && c.b == '+':
		default:
			return -1
		}
	}
	return -1
}

func offset(p syntax.Pos) int { return int(p.Offset()) }
