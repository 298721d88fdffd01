package policy

import (
	"errors"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// firstOffence returns the leftmost thing in a parsed command line that is more
// than one simple command of plain words, or nil. A kind of node that is not
// known here is an offence.
func firstOffence(command string, file *syntax.File) *Refusal {
	var first *Refusal
	found := func(code string, start, end int, reason string) {
		if first == nil || start+1 < first.Column {
			first = refuseAt(command, code, start, end, reason)
		}
	}
	if len(file.Stmts) > 1 && !file.Stmts[0].Semicolon.IsValid() {
		if at := newlineBetween(command, offset(file.Stmts[0].End()), offset(file.Stmts[1].Pos())); at >= 0 {
			found("shell.newline", at, at+1, "a newline begins a second command; send one command at a time")
		}
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		if node == nil {
			return true
		}
		start, end := offset(node.Pos()), offset(node.End())
		switch node := node.(type) {
		case *syntax.File, *syntax.CallExpr, *syntax.Word, *syntax.Lit, *syntax.SglQuoted, *syntax.DblQuoted:
		case *syntax.Comment:
			found("shell.comment", start, start+1, "a comment is not allowed; quote the # if it is text")
		case *syntax.Stmt:
			if node.Negated {
				found("shell.negation", start, start+1, "! is not allowed: it would hide the exit code")
			}
			if at := node.Semicolon; at.IsValid() {
				found("shell.operator", offset(at), end, "a command may not be followed by another or put into the background; quote it if it is text")
			}
		case *syntax.BinaryCmd:
			at := offset(node.OpPos)
			found("shell.operator", at, at+len(node.Op.String()), "commands may not be chained; quote it if it is text, or send one command at a time")
		case *syntax.Redirect:
			found("shell.redirect", start, offset(node.OpPos)+len(node.Op.String()), "input and output may not be redirected; quote it if it is text")
		case *syntax.Assign:
			found("shell.assignment", start, end, "a variable may not be set in the command; use env")
		case *syntax.CmdSubst:
			found("shell.substitution", start, start+opening(command[start:], "$(", "`"), "a command may not be substituted; use '…' if it is text")
			return false // what is within begins further right
		case *syntax.ProcSubst:
			found("shell.substitution", start, start+2, "a process may not be substituted; quote it if it is text")
			return false
		case *syntax.ParamExp:
			found("shell.expansion", start, end, "a variable is not expanded here; use '…' if it is text")
			return false
		case *syntax.ArithmExp:
			found("shell.expansion", start, start+opening(command[start:], "$((", "$["), "arithmetic is not expanded here; use '…' if it is text")
			return false
		case *syntax.ExtGlob:
			found("shell.glob", start, end, "a file name pattern is not expanded here; quote it if it is text")
			return false
		case *syntax.FuncDecl:
			found("shell.compound", start, end, "a function may not be defined")
			return false
		case syntax.Command:
			found("shell.compound", start, start+wordLength(command[start:]), "one simple command is wanted, without keywords and groups; quote it if it is text")
			return false
		default:
			found("shell.syntax", start, end, "this is more than one simple command of plain words")
		}
		return true
	})
	return first
}

// newlineBetween returns the offset of the newline that ends a command, or -1.
func newlineBetween(command string, from, to int) int {
	for i := from; i < to && i < len(command); i++ {
		if command[i] == '\n' && (i == 0 || command[i-1] != '\\') {
			return i
		}
	}
	return -1
}

// opening returns the length of the opening that text begins with.
func opening(text string, openings ...string) int {
	for _, opening := range openings {
		if strings.HasPrefix(text, opening) {
			return len(opening)
		}
	}
	return 1
}

// wordLength returns the length of a keyword or of the operator that stands for
// one: "while", "((".
func wordLength(text string) int {
	if i := strings.IndexAny(text, " \t\n;"); i > 0 {
		return i
	}
	return len(text)
}

// refuseParse makes a Refusal of an error of the parser.
func refuseParse(command string, err error) *Refusal {
	at, text := 0, err.Error()
	var parse syntax.ParseError
	var lang syntax.LangError
	switch {
	case errors.As(err, &parse):
		at, text = offset(parse.Pos), parse.Text
	case errors.As(err, &lang):
		at, text = offset(lang.Pos), lang.Feature+" is not allowed"
	}
	return refuseAt(command, "shell.syntax", at, at+1, text)
}

// refuseAt refuses command[start:end]. Positions of the parser are not trusted
// to lie within the text.
func refuseAt(command, code string, start, end int, reason string) *Refusal {
	start = max(0, min(start, len(command)))
	end = max(start, min(end, len(command)))
	for end < len(command) && command[end]&0xC0 == 0x80 { // not within a character
		end++
	}
	return &Refusal{Code: code, Field: "command", Token: clip(command[start:end]), Column: start + 1, Reason: reason}
}
