package shim

import (
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestOrphanOfTheSameTick: a command that was about to be started in the tick of
// the clock of process starts in which the orphan of another came is one that the
// orphan may be of, though its leader came later. As the last of them it ends it.
// From outside, such a tick cannot be hit.
func TestOrphanOfTheSameTick(t *testing.T) {
	is := is.New(t)
	if os.Getpid() == 1 {
		t.Fatal("to the first process of a container come the orphans of others")
	}
	home, pids := newOrphanage(true), newPIDSource()
	start := func() int {
		cmd := osexec.Command("sleep", "60")
		cmd.Env = []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		is.NoErr(cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	lead := func() *tree {
		b, forked := home.expect(), time.Now()
		pid := start()
		b.born(pid)
		tr := newTree(pids, pid, startTime(pid), forked, "RDEV_COOKIE_X=x")
		tr.birth = b
		return tr
	}
	first := lead()
	orphan := start() // as if its parent had been the first command
	second := lead()
	// It was about to be started when the orphan was, and was in the next tick.
	second.birth.ticks = first.birth.ticks
	second.start = first.start + 1

	is.Equal(first.kill(), nil)
	s, err := readStat(orphan)
	is.NoErr(err)
	is.True(!s.dead()) // it may be the second one's
	first.birth.over()
	is.Equal(second.kill(), nil)
	s, err = readStat(orphan)
	is.True(err != nil || s.dead())
	second.birth.over()
}
