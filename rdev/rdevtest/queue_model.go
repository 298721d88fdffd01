package rdevtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/orchard9/rdev/rdev"
)

// behavesAsMemory does the same, by chance, to the subject and to
// rdev.MemoryCommands, whose rules are those of package rdev, and compares.
func behavesAsMemory(t *testing.T, s QueuedCommands) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	model := rdev.NewMemoryCommands()
	both := []QueuedCommands{s, model}
	keys, projects := []string{"a", "b", "c"}, []string{"api", "web"}
	var unfinished []string
	for n := range 250 {
		var told [2]string
		switch dice.IntN(5) {
		case 0, 1, 2:
			gate := rdev.Gate{Project: 2 + dice.IntN(2), Key: 2 + dice.IntN(3), KeyInProject: dice.IntN(3), Queue: 8}
			c := gated(n, keys[dice.IntN(len(keys))], projects[dice.IntN(len(projects))], gate)
			if dice.IntN(3) > 0 {
				c = waits(c)
			}
			for i, subject := range both {
				_, created, err := subject.Insert(ctx(t), c)
				told[i] = fmt.Sprintf("insert %s %s waits %t: %t %v", c.KeyID, c.Project, !c.WaitUntil.IsZero(), created, limitOf(err))
				if created && i == 1 {
					unfinished = append(unfinished, c.ID)
				}
			}
		case 3:
			if len(unfinished) == 0 {
				continue
			}
			i := dice.IntN(len(unfinished))
			for _, subject := range both {
				end(t, subject, unfinished[i])
			}
			unfinished = slices.Delete(unfinished, i, i+1)
		case 4:
			for i, subject := range both {
				told[i] = fmt.Sprint(positions(t, subject, unfinished...))
			}
		}
		if told[0] != told[1] {
			t.Fatalf("step %d: got\n%s, want as memory\n%s", n, told[0], told[1])
		}
	}
}

// limitOf returns what a LimitError says, without a store's own words.
func limitOf(err error) string {
	var limit *rdev.LimitError
	if errors.As(err, &limit) {
		return fmt.Sprint(limit.Limit, limit.Max)
	}
	return fmt.Sprint(err)
}
