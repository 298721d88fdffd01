package policy_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
)

// TestHostileCommandLinesAreCheap: no line within the limits costs seconds or
// hundreds of megabytes, as deep nesting did.
func TestHostileCommandLinesAreCheap(t *testing.T) {
	for _, piece := range []string{
		"(", "$(", "{ ", "`", `"$(`, "$((", "${x:-", `"${x:-`, "((", "[[ (", "if ", "while ", "until ", "! ", "a|", "a;", "a&&", "<(", "'x'", `"x"`, "a ", "f()", "case x in x) ", "@(", "x[", "$[", "\\\n", "a\n", "\n",
		"{a,", "{", "let x=(", "${x[", "<<a\n", "time ", "coproc ", "a=(", ":~", "a=~", "=", "$'(", `$"$(`, "#'(\n", `\(`, `"\`, "~", "a=:~",
	} {
		for _, before := range []string{"", "echo ", "echo $'\\'", "echo #'\n", "x<<'E'\n", "echo 'x", "a=b "} {
			command := before + strings.Repeat(piece, (policy.MaxCommand-len(before))/len(piece))
			started := time.Now()
			_, err := policy.Policy{}.Plan(shellRequest(command))
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("%q and then %q took %v and ended with %.100v", before, piece, took, err)
			}
		}
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.StackSys > 64<<20 {
		t.Errorf("the stacks have grown to %d MiB", memory.StackSys>>20)
	}
}

func TestLimits(t *testing.T) {
	accepted := func(command string) bool {
		_, err := policy.Policy{}.Plan(shellRequest(command))
		return err == nil
	}
	t.Run("Length", func(t *testing.T) {
		is := is.New(t)
		is.True(accepted("echo " + strings.Repeat("x", policy.MaxCommand-5)))
		is.True(!accepted("echo " + strings.Repeat("x", policy.MaxCommand-4)))
		is.True(accepted("echo '" + strings.Repeat("(", policy.MaxCommand-7) + "'")) // text may hold anything
		is.True(accepted("echo \"" + strings.Repeat("(;", 30000) + "\""))
	})
	t.Run("Words", func(t *testing.T) {
		is := is.New(t)
		is.True(accepted("echo" + strings.Repeat(" x", exec.MaxArgs-1)))
		is.True(!accepted("echo" + strings.Repeat(" x", exec.MaxArgs)))
	})
	t.Run("NewlinesAtTheEnd", func(t *testing.T) {
		is := is.New(t)
		is.True(accepted("ls" + strings.Repeat("\n \t", 9000)))
		is.True(!accepted("ls" + strings.Repeat("\n", 9000) + "id"))
		is.True(!accepted("ls" + strings.Repeat("\n", 9000) + "#"))
	})
	t.Run("LateOffence", func(t *testing.T) {
		is := is.New(t)
		r := refusal(t, policy.Policy{}, shellRequest("echo '"+strings.Repeat("é", 10000)+"'; id"+strings.Repeat("é", 10000)))
		is.Equal(r.Code, "shell.operator")
		is.Equal(r.Column, 5+1+20000+1+1)
		r = refusal(t, policy.Policy{}, shellRequest("echo a;"+strings.Repeat(" é", 2000)))
		is.Equal(r.Column, 7)
	})
}
