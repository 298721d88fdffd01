package kube

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

// aProbe is what a container tells where a shim can be placed.
const aProbe = "\x1erdev:n:ready:7\n\x1erdev:n:machine:x86_64\n\x1erdev:n:cwd:/\n\x1erdev:n:place:/a cannot be written to\n" +
	"\x1erdev:n:folder:/tmp/.rdev-0\n\x1erdev:n:tried:2\n\x1erdev:n:done\n"

// tell has a script say that on its streams, and returns what comes of it.
func tell(stdout, stderr string) (found probe, env []byte, err error) {
	over := false
	told := newTold("n", found.take, func() { over = true })
	_, _ = told.stderr.Write([]byte(stderr))
	_, _ = told.stdout.Write([]byte(stdout))
	env, err = told.result(nil)
	if over != (err == nil) {
		err = errors.New("its end was seen, or was not")
	}
	return found, env, err
}

func TestProbe(t *testing.T) {
	const environ = "A=1\x00HOME=/root\x00"
	t.Run("ToldToTheEndItIsTaken", func(t *testing.T) {
		is := is.New(t)
		found, env, err := tell(environ+"\x1erdev:n:done\n", aProbe)
		is.NoErr(err)
		is.Equal(string(env), environ)
		_, err = found.judge()
		is.NoErr(err)
		is.Equal(found.folder, "/tmp/.rdev-0")
	})
	t.Run("CutAnywhereItIsNoAnswer", func(t *testing.T) {
		is := is.New(t)
		for i := range len(aProbe) {
			_, _, err := tell(environ+"\x1erdev:n:done\n", aProbe[:i])
			is.True(errors.Is(err, exec.ErrNotStarted))
		}
		stdout := environ + "\x1erdev:n:done\n"
		for i := range len(stdout) {
			_, _, err := tell(stdout[:i], aProbe)
			is.True(errors.Is(err, exec.ErrNotStarted))
		}
	})
	t.Run("OnlyWithEveryPlaceRefusedThereIsNone", func(t *testing.T) {
		is := is.New(t)
		var unplaceable *errUnplaceable
		found, _, err := tell("\x1erdev:n:done\n", strings.Replace(aProbe, "folder:/tmp/.rdev-0", "place:/tmp cannot be written to", 1))
		is.NoErr(err)
		_, err = found.judge()
		is.True(errors.As(err, &unplaceable))
		for _, lost := range []string{"folder:/tmp/.rdev-0", "machine:x86_64", "cwd:/", "tried:2"} {
			found, _, err := tell("\x1erdev:n:done\n", strings.Replace(aProbe, lost, "other", 1))
			is.NoErr(err)
			_, err = found.judge()
			is.True(err != nil && !errors.As(err, &unplaceable))
		}
	})
	t.Run("AForeignArchitectureHasNone", func(t *testing.T) {
		is := is.New(t)
		found, _, err := tell("\x1erdev:n:done\n", strings.Replace(aProbe, "x86_64", "riscv64", 1))
		is.NoErr(err)
		_, err = found.judge()
		var unplaceable *errUnplaceable
		is.True(errors.As(err, &unplaceable))
	})
}
