package exec_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

func valid() exec.Command {
	return exec.Command{ID: "cmd-1", Target: exec.Target{Name: "demo"}, Argv: []string{"echo", "hi"}}
}

func TestValidateRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		field string
		spoil func(*exec.Command)
	}{
		"EmptyID":         {"id", func(c *exec.Command) { c.ID = "" }},
		"LongID":          {"id", func(c *exec.Command) { c.ID = strings.Repeat("a", exec.MaxIDLength+1) }},
		"UpperCaseID":     {"id", func(c *exec.Command) { c.ID = "CMD-1" }},
		"NoTarget":        {"target", func(c *exec.Command) { c.Target = exec.Target{Instance: "x"} }},
		"NoArgv":          {"argv", func(c *exec.Command) { c.Argv = nil }},
		"EmptyProgram":    {"argv", func(c *exec.Command) { c.Argv = []string{"", "a"} }},
		"TooManyArgs":     {"argv", func(c *exec.Command) { c.Argv = args(exec.MaxArgs+1, "a") }},
		"TooMuchArgv":     {"argv", func(c *exec.Command) { c.Argv = []string{"a", strings.Repeat("b", exec.MaxArgBytes-2)} }},
		"NULInProgram":    {"argv[0]", func(c *exec.Command) { c.Argv = []string{"a\x00"} }},
		"NULInArg":        {"argv[2]", func(c *exec.Command) { c.Argv = []string{"a", "b", "\x00c"} }},
		"InvalidArg":      {"argv[1]", func(c *exec.Command) { c.Argv = []string{"a", "\xff"} }},
		"CutCharacter":    {"argv[1]", func(c *exec.Command) { c.Argv = []string{"a", "ü"[:1]} }},
		"Surrogate":       {"argv[1]", func(c *exec.Command) { c.Argv = []string{"a", "\xed\xa0\x80"} }},
		"TooManyEnv":      {"env", func(c *exec.Command) { c.Env = env(exec.MaxEnvVars + 1) }},
		"TooMuchEnv":      {"env", func(c *exec.Command) { c.Env = map[string]string{"A": strings.Repeat("b", exec.MaxEnvBytes-2)} }},
		"EmptyEnvName":    {"env", func(c *exec.Command) { c.Env = map[string]string{"": "x"} }},
		"EqualInEnvName":  {"env", func(c *exec.Command) { c.Env = map[string]string{"A=B": "x"} }},
		"NULInEnvName":    {"env", func(c *exec.Command) { c.Env = map[string]string{"A\x00": "x"} }},
		"InvalidEnvName":  {"env", func(c *exec.Command) { c.Env = map[string]string{"\xff": "x"} }},
		"NULInEnvValue":   {"env.A", func(c *exec.Command) { c.Env = map[string]string{"A": "x\x00"} }},
		"InvalidEnvValue": {"env.A", func(c *exec.Command) { c.Env = map[string]string{"A": "\xfe"} }},
		"LongDir":         {"dir", func(c *exec.Command) { c.Dir = strings.Repeat("d", exec.MaxDirLength+1) }},
		"NULInDir":        {"dir", func(c *exec.Command) { c.Dir = "a\x00b" }},
		"InvalidDir":      {"dir", func(c *exec.Command) { c.Dir = "\x80" }},
		"TooMuchStdin":    {"stdin", func(c *exec.Command) { c.Stdin = make([]byte, exec.MaxStdin+1) }},
		"NegativeTimeout": {"timeout", func(c *exec.Command) { c.Timeout = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			cmd := valid()
			tc.spoil(&cmd)
			err := cmd.Validate()
			is.True(errors.Is(err, exec.ErrInvalidCommand))
			var field *exec.FieldError
			is.True(errors.As(err, &field))
			is.Equal(field.Field, tc.field)
			is.True(strings.Contains(err.Error(), tc.field+" "+field.Problem)) // the message names the field
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	for name, change := range map[string]func(*exec.Command){
		"Plain":            func(c *exec.Command) {},
		"LongestID":        func(c *exec.Command) { c.ID = strings.Repeat("a", exec.MaxIDLength) },
		"MostArgs":         func(c *exec.Command) { c.Argv = args(exec.MaxArgs, "a") },
		"MostArgv":         func(c *exec.Command) { c.Argv = []string{"a", strings.Repeat("b", exec.MaxArgBytes-3)} },
		"EmptyArg":         func(c *exec.Command) { c.Argv = []string{"a", "", "b"} },
		"Text":             func(c *exec.Command) { c.Argv = []string{"a", "ü\n\t\x01日本; rm -rf /"} },
		"MostEnv":          func(c *exec.Command) { c.Env = env(exec.MaxEnvVars) },
		"MostEnvBytes":     func(c *exec.Command) { c.Env = map[string]string{"A": strings.Repeat("b", exec.MaxEnvBytes-3)} },
		"EmptyEnvValue":    func(c *exec.Command) { c.Env = map[string]string{"A": ""} },
		"LongestDir":       func(c *exec.Command) { c.Dir = strings.Repeat("d", exec.MaxDirLength) },
		"MostStdin":        func(c *exec.Command) { c.Stdin = make([]byte, exec.MaxStdin) },
		"BinaryStdin":      func(c *exec.Command) { c.Stdin = []byte("\x00\xff") },
		"NegativeGrace":    func(c *exec.Command) { c.Grace = -1 },
		"NoOutputLimit":    func(c *exec.Command) { c.MaxOutput = -1 },
		"TargetOfInstance": func(c *exec.Command) { c.Target.Instance = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			cmd := valid()
			change(&cmd)
			is.NoErr(cmd.Validate())
		})
	}
}

func TestWithDefaults(t *testing.T) {
	is := is.New(t)
	cmd := valid().WithDefaults()
	is.Equal(cmd.Grace, exec.DefaultGrace)
	is.Equal(cmd.MaxOutput, int64(exec.DefaultMaxOutput))
	cmd.Grace, cmd.MaxOutput = -1, -1
	cmd = cmd.WithDefaults()
	is.Equal(cmd.Grace, time.Duration(-1)) // negative has a meaning and stays
	is.Equal(cmd.MaxOutput, int64(-1))
}

func TestDigest(t *testing.T) {
	base := valid()
	base.Env = map[string]string{"A": "1", "B": "2"}

	t.Run("NeverChanges", func(t *testing.T) {
		is := is.New(t)
		// Digests are stored beside commands that outlive this program.
		is.Equal(valid().Digest(), "f14532c7eee4587d173c58ecaf9b99237fc46cc49444d22d6bd9b6930c35858e")
		for range 20 { // the order of a map does not matter
			is.Equal(base.Digest(), base.Digest())
		}
	})
	t.Run("DefaultsAreTheSameSpecification", func(t *testing.T) {
		is := is.New(t)
		is.Equal(base.WithDefaults().Digest(), base.Digest())
	})
	t.Run("AfterResumeAndInstanceAreNoPartOfIt", func(t *testing.T) {
		is := is.New(t)
		other := base
		other.After, other.Resume, other.Target.Instance = 7, true, "pod-1"
		is.Equal(other.Digest(), base.Digest())
	})
	t.Run("EveryFieldChangesIt", func(t *testing.T) {
		is := is.New(t)
		seen := map[string]string{base.Digest(): "base"}
		for name, change := range map[string]func(*exec.Command){
			"ID":            func(c *exec.Command) { c.ID = "cmd-2" },
			"Target":        func(c *exec.Command) { c.Target.Name = "other" },
			"Program":       func(c *exec.Command) { c.Argv = []string{"printf", "hi"} },
			"MoreArgs":      func(c *exec.Command) { c.Argv = []string{"echo", "hi", ""} },
			"FewerArgs":     func(c *exec.Command) { c.Argv = []string{"echo"} },
			"JoinedArgs":    func(c *exec.Command) { c.Argv = []string{"echohi"} },
			"MovedBorder":   func(c *exec.Command) { c.Argv = []string{"ech", "ohi"} },
			"NoEnv":         func(c *exec.Command) { c.Env = nil },
			"EnvValue":      func(c *exec.Command) { c.Env = map[string]string{"A": "1", "B": "3"} },
			"EnvName":       func(c *exec.Command) { c.Env = map[string]string{"A": "1", "C": "2"} },
			"EnvSwapped":    func(c *exec.Command) { c.Env = map[string]string{"A": "2", "B": "1"} },
			"EnvIntoArgv":   func(c *exec.Command) { c.Argv, c.Env = []string{"echo", "hi", "A", "1", "B", "2"}, nil },
			"Dir":           func(c *exec.Command) { c.Dir = "sub" },
			"Stdin":         func(c *exec.Command) { c.Stdin = []byte("sub") },
			"EmptyStdin":    func(c *exec.Command) { c.Stdin = []byte{} },
			"Timeout":       func(c *exec.Command) { c.Timeout = time.Second },
			"Grace":         func(c *exec.Command) { c.Grace = time.Second },
			"NegativeGrace": func(c *exec.Command) { c.Grace = -1 },
			"MaxOutput":     func(c *exec.Command) { c.MaxOutput = int64(time.Second) },
		} {
			other := base
			change(&other)
			if twin, taken := seen[other.Digest()]; taken {
				t.Errorf("%s and %s have the same digest", name, twin)
			}
			seen[other.Digest()] = name
		}
		is.Equal(len(seen), 20)
	})
}

func FuzzValidID(f *testing.F) {
	for _, id := range []string{"", "a", "cmd-01h", ".a", "..", "a/b", "A", "a b", "a\x00", "ü", "-", "_.-", strings.Repeat("z", 129)} {
		f.Add(id)
	}
	pattern := regexp.MustCompile(`\A[a-z0-9_-][a-z0-9._-]{0,127}\z`)
	f.Fuzz(func(t *testing.T, id string) {
		if got, want := exec.ValidID(id), pattern.MatchString(id); got != want {
			t.Errorf("ValidID(%q) = %v, want %v", id, got, want)
		}
	})
}

func TestStreamNames(t *testing.T) {
	is := is.New(t)
	is.Equal(exec.Stdout.String(), "stdout")
	is.Equal(exec.Stderr.String(), "stderr")
	is.Equal(exec.Stream(9).String(), "unknown")
}

func args(n int, arg string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = arg
	}
	return list
}

func env(n int) map[string]string {
	vars := map[string]string{}
	for i := range n {
		vars[fmt.Sprintf("V%d", i)] = ""
	}
	return vars
}
