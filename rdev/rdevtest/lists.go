package rdevtest

import (
	"slices"
	"testing"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

// listed returns the ids of all records that match, read in pages.
func listed(t *testing.T, s rdev.Commands, filter rdev.CommandFilter, limit int) []string {
	t.Helper()
	var ids []string
	for {
		page, err := s.List(ctx(t), filter, limit)
		if err != nil {
			t.Fatalf("List(%+v, %d): %v", filter, limit, err)
		}
		if len(page) > limit {
			t.Fatalf("List(%+v, %d) returned %d records", filter, limit, len(page))
		}
		if len(page) == 0 {
			return ids
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
		filter.Before = page[len(page)-1].ID
	}
}

func listPages(t *testing.T, s rdev.Commands) {
	const records = 7
	var wanted []string
	for _, n := range []int{3, 0, 6, 1, 5, 2, 4} { // not in the order of their ids
		insert(t, s, command(n))
	}
	for n := records - 1; n >= 0; n-- {
		wanted = append(wanted, command(n).ID)
	}
	for limit := 1; limit <= records+1; limit++ {
		if got := listed(t, s, rdev.CommandFilter{}, limit); !slices.Equal(got, wanted) {
			t.Fatalf("pages of %d: got %v, want %v", limit, got, wanted)
		}
	}
	page, err := s.List(ctx(t), rdev.CommandFilter{}, 1)
	if err != nil || len(page) != 1 {
		t.Fatalf("List: %d records, %v", len(page), err)
	}
	want(t, page[0], command(records-1))
}

func listSelects(t *testing.T, s rdev.Commands) {
	records := make([]rdev.Command, 12)
	for n := range records {
		c := command(n)
		c.Project = []string{"api", "web"}[n%2]
		c.Type = []policy.Type{policy.TypeShell, policy.TypeGit, policy.TypeClaude}[n%3]
		c.KeyID = []string{"key-one", "key-two"}[n/6]
		insert(t, s, c)
		switch n % 4 {
		case 1:
			c = update(t, s, c.ID, func(c *rdev.Command) { c.State = rdev.StateRunning })
		case 2:
			c = update(t, s, c.ID, func(c *rdev.Command) {
				c.State = rdev.StateCanceled
				if n > 2 {
					c.Claude = &rdev.ClaudeResult{Subtype: "success", SessionID: []string{"one", "two"}[n/10]}
				}
			})
		}
		records[n] = c
	}
	slices.Reverse(records)
	for _, filter := range []rdev.CommandFilter{
		{},
		{Project: "api"},
		{Project: "ap"},
		{Type: policy.TypeGit},
		{KeyID: "key-two"},
		{ClaudeSession: "one"},
		{ClaudeSession: "two", Project: "api", Before: command(11).ID, States: []rdev.State{rdev.StateCanceled}},
		{ClaudeSession: "two", Project: "web"},
		{ClaudeSession: "three"},
		{Before: command(5).ID},
		{States: []rdev.State{rdev.StateQueued}},
		{States: []rdev.State{rdev.StateQueued, rdev.StateRunning}},
		{States: []rdev.State{rdev.StateLost}},
		{Project: "web", States: []rdev.State{rdev.StateRunning, rdev.StateCanceled}},
		{Project: "web", Type: policy.TypeGit, KeyID: "key-one"},
		{Project: "api", Before: command(8).ID, States: []rdev.State{rdev.StateQueued, rdev.StateCanceled}, KeyID: "key-one"},
	} {
		var wanted []string
		for _, c := range records {
			if (filter.Project == "" || c.Project == filter.Project) &&
				(filter.Type == "" || c.Type == filter.Type) &&
				(filter.KeyID == "" || c.KeyID == filter.KeyID) &&
				(filter.ClaudeSession == "" || c.ClaudeSession() == filter.ClaudeSession) &&
				(filter.Before == "" || c.ID < filter.Before) &&
				(len(filter.States) == 0 || slices.Contains(filter.States, c.State)) {
				wanted = append(wanted, c.ID)
			}
		}
		for _, limit := range []int{2, 100} {
			if got := listed(t, s, filter, limit); !slices.Equal(got, wanted) {
				t.Fatalf("List(%+v) in pages of %d: got %v, want %v", filter, limit, got, wanted)
			}
		}
	}
}
