package client_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/server/client"
)

// batched is an output event of lines of which the last has the number id.
func batched(id int, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id: cmd:%d\nevent: output\n", id)
	for _, line := range lines {
		fmt.Fprintf(&b, "data: {\"line\":%q,\"stream\":\"stdout\"}\n", line)
	}
	return b.String() + "\n"
}

// TestFollowBatches: lines that share an event are counted back from its id, and
// one that does not connect to what there is ends the call.
func TestFollowBatches(t *testing.T) {
	const end = "id: cmd:final\nevent: complete\ndata: {\"exit_code\":0,\"state\":\"succeeded\"}\n\n"
	for name, test := range map[string]struct {
		after  uint64
		text   string
		lines  string
		broken bool
	}{
		"Each":         {0, batched(3, "a", "b", "c") + batched(4, "d") + end, "1a 2b 3c 4d", false},
		"Repeated":     {0, batched(2, "a", "b") + batched(2, "a", "b") + batched(3, "b", "c") + end, "1a 2b 3c", false},
		"BegunBefore":  {2, batched(3, "a", "b", "c") + end, "3c", false},
		"Hole":         {0, batched(2, "a", "b") + batched(5, "d", "e") + end, "1a 2b", true},
		"HoleAtFirst":  {0, batched(3, "b", "c") + end, "", true},
		"MoreThanId":   {0, batched(1, "a", "b") + end, "", true},
		"AnotherId":    {0, strings.Replace(batched(1, "a"), "cmd", "other", 1) + end, "", true},
		"NoId":         {0, "event: output\ndata: {\"line\":\"a\",\"stream\":\"stdout\"}\n\n" + end, "", true},
		"NotJSON":      {0, "id: cmd:2\nevent: output\ndata: {\"line\":\"a\",\"stream\":\"stdout\"}\ndata: x\n\n" + end, "1a", true},
		"AnEmptyLine":  {0, "id: cmd:2\nevent: output\ndata: {\"line\":\"a\",\"stream\":\"stdout\"}\ndata:\n\n" + end, "1a", true},
		"QuotedBreaks": {0, batched(2, `a\n`, "b") + end, `1a\n 2b`, false},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			s := streamer(t, test.text, 0)
			c, err := client.New(s.URL, "key", nil)
			is.NoErr(err)
			defer c.Close()
			var lines []string
			_, err = c.Follow(t.Context(), "web", "cmd", test.after, func(events []client.Event) error {
				for _, e := range events {
					lines = append(lines, fmt.Sprint(e.Seq, string(e.Data)))
				}
				return nil
			})
			is.Equal(strings.Join(lines, " "), test.lines)
			is.Equal(err != nil, test.broken)
			if test.broken {
				is.True(strings.Contains(err.Error(), "protocol violation"))
			}
		})
	}
}
