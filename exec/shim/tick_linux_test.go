package shim

import (
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestOrphanOfTheSameTick: a command whose leader came after the orphan of
// another, in the same tick of the clock of process starts, is the last that the
// orphan may be of, and ends it. From outside, such a tick cannot be hit.
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
	second.birth.ticks = first.birth.ticks

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
