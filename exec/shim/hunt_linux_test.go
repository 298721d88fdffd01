package shim

import (
	osexec "os/exec"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestHunt: a tree of processes that die by themselves, each with another one in
// its place, is not followed for ever. Real ones cannot be timed like that.
func TestHunt(t *testing.T) {
	dead := func() int {
		cmd := osexec.Command("true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	tr := newTree(newPIDSource(), dead(), 0, time.Now(), "RDEV_COOKIE_X=x")

	t.Run("WhatIsFoundAfterTheDeadlineIsReported", func(t *testing.T) {
		is := is.New(t)
		start, passes := time.Now(), 0
		pid := dead()
		survivors := tr.hunt(start.Add(200*time.Millisecond), func(pidWindow) (found, unsure []int) {
			if passes++; time.Since(start) > 30*time.Second {
				return nil, nil
			}
			return []int{pid}, []int{1}
		})
		is.Equal(survivors, []int{pid, 1})
		is.True(passes > 1)
		is.True(time.Since(start) < 20*time.Second)
	})

	t.Run("WhatCannotBeToldIsLookedAtAgain", func(t *testing.T) {
		is := is.New(t)
		passes := 0
		survivors := tr.hunt(time.Now().Add(time.Minute), func(pidWindow) (found, unsure []int) {
			if passes++; passes < 5 {
				return nil, []int{1}
			}
			return nil, nil
		})
		is.Equal(survivors, nil)
		is.True(passes >= 5)
	})
}
