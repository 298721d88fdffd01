package exectest_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
)

// interpret makes a Script of the few programs that the suite runs, and of sh
// scripts that are plain lists of them or loop over words. It is just enough
// for the subtests that need no processes.
func interpret(cmd exec.Command) (exectest.Script, bool) {
	in := interpreter{stdin: string(cmd.Stdin), pid: strconv.FormatInt(nextPID.Add(1), 10)}
	if cmd.Argv[0] != "sh" {
		return in.script, in.simple(cmd.Argv) && in.finish()
	}
	return in.script, in.list(cmd.Argv[2]) && in.finish()
}

var nextPID atomic.Int64

type interpreter struct {
	script exectest.Script
	stdin  string
	pid    string
	delay  time.Duration
	over   bool
}

func (in *interpreter) list(text string) bool {
	if rest, ok := strings.CutPrefix(text, "for i in "); ok {
		words, body, _ := strings.Cut(rest, "; do ")
		body = strings.TrimSuffix(body, "; done")
		for word := range strings.FieldsSeq(words) {
			if !in.list(strings.ReplaceAll(body, "$i", word)) {
				return false
			}
		}
		return true
	}
	for part := range strings.SplitSeq(text, "; ") {
		if !in.simple(words(part, in.pid)) {
			return false
		}
	}
	return true
}

// words splits at spaces outside quotes and gives backslashes to printf.
func words(text, pid string) []string {
	var words []string
	var word strings.Builder
	quote, some := rune(0), false
	for _, r := range text + " " {
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, some = r, true
		case quote == 0 && r == ' ':
			if some || word.Len() > 0 {
				words = append(words, strings.ReplaceAll(word.String(), "$$", pid))
			}
			word.Reset()
			some = false
		default:
			word.WriteRune(r)
		}
	}
	return words
}

func (in *interpreter) simple(argv []string) bool {
	if in.over {
		return true
	}
	stream := exec.Stdout
	if last := len(argv) - 1; argv[last] == ">&2" {
		argv, stream = argv[:last], exec.Stderr
	}
	switch argv[0] {
	case "true", ":":
	case "echo":
		in.write(stream, strings.Join(argv[1:], " ")+"\n")
	case "date":
		in.write(stream, time.Now().String()+"\n")
	case "cat":
		in.write(stream, in.stdin)
	case "seq":
		from, _ := strconv.Atoi(argv[1])
		to, _ := strconv.Atoi(argv[2])
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintln(&b, i)
		}
		in.write(stream, b.String())
	case "printf":
		format := strings.ReplaceAll(argv[1], `\n`, "\n")
		if len(argv) == 2 {
			in.write(stream, format)
		}
		for _, arg := range argv[2:] {
			in.write(stream, strings.ReplaceAll(format, "%s", arg))
		}
	case "sleep":
		seconds, err := strconv.ParseFloat(argv[1], 64)
		if err != nil {
			return false
		}
		in.delay += time.Duration(seconds * float64(time.Second))
	case "exit":
		in.script.ExitCode, _ = strconv.Atoi(argv[1])
		in.over = true
	case "trap":
		in.script.IgnoreTerm = true
	default:
		if !strings.HasPrefix(argv[0], "/") && !strings.HasPrefix(argv[0], "exectest-") {
			fmt.Fprintf(os.Stderr, "the interpreter does not know %q\n", argv)
		}
		return false
	}
	return true
}

func (in *interpreter) write(stream exec.Stream, text string) {
	in.script.Steps = append(in.script.Steps, exectest.Step{Delay: in.delay, Stream: stream, Text: text})
	in.delay = 0
}

func (in *interpreter) finish() bool {
	if in.delay > 0 {
		in.write(exec.Stdout, "")
	}
	return true
}
