package rdev_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/exectest"
	"github.com/orchard9/rdev/rdev"
)

const (
	registered = "correct-horse-battery"
	passed     = "passed-in-a-variable"
)

// masking opens a Service that knows a secret.
func masking(t *testing.T, p *parts, edit ...func(*rdev.Config)) *rdev.Service {
	t.Helper()
	return p.open(t, append(edit, func(c *rdev.Config) {
		c.Secrets = func() []auth.Secret { return []auth.Secret{auth.NewSecret(registered)} }
		c.LeaveRunning = true
	})...)
}

func TestSecretsAreMaskedInOutput(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	p.executor.Programs["leak"] = exectest.Script{Steps: []exectest.Step{
		{Text: "a " + registered + " z\n"},
		{Stream: exec.Stderr, Text: "ghp_" + strings.Repeat("aB3", 12) + "\n"},
		{Text: "plain\n" + passed + "\n"},
		{Text: strings.Repeat("x", exec.MaxLine-10) + registered + "after\n"}, // across two lines
		{Text: "ask corr"}, {Delay: 200 * time.Millisecond, Text: "ect-horse-battery ok\n"},
		{Text: "end correct-horse"}, // no newline, no secret
	}}
	s := masking(t, p)
	req := shell("leak", registered)
	req.Env = map[string]string{"MY_TOKEN": passed, "PLAIN": "plain"}
	cmd := run(t, s, req)
	output, _ := follow(t, s, cmd.ID, 0)
	is.Equal(output, "a [masked] z\n[masked]\nplain\n[masked]\n"+strings.Repeat("x", exec.MaxLine-10)+"[masked]after\nask [masked] ok\nend correct-horse")
	record := get(t, s, cmd.ID)
	is.Equal(record.Argv, []string{"leak", "[masked]"})
	is.Equal(record.Spec.Argv, []string{"leak", "[masked]"}) // it has ended
}

// TestTheNextOwnerMasksWhatItBeginsWith lets a Service end in the middle of a
// secret, and of a block of lines; the next one goes on behind that.
func TestTheNextOwnerMasksWhatItBeginsWith(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	body := strings.Repeat("MIIEvQIBADANBgkqhkiG", 3)
	p.executor.Programs["leak"] = exectest.Script{Steps: []exectest.Step{
		{Text: "begin\n-----BEGIN PRIVATE KEY-----\n" + body + "\n"},
		{Text: "x"},
		{Delay: 2 * time.Second, Text: body + "\n-----END PRIVATE KEY-----\nend\n"},
	}}
	s := masking(t, p)
	cmd := run(t, s, shell("leak"))
	sub, _, err := s.Subscribe(t.Context(), auth.Admin(), "app", cmd.ID, 0)
	is.NoErr(err)
	for seen := uint64(0); seen < 3; {
		events, err := sub.Next(t.Context())
		is.NoErr(err)
		seen = events[len(events)-1].Seq
	}
	sub.Close()
	shut(t, s)
	next := masking(t, p)
	output, _ := follow(t, next, cmd.ID, 0)
	is.True(!strings.Contains(output, "MIIE"))
	is.True(strings.HasPrefix(output, "begin\n[masked]\n[masked]\n") && strings.HasSuffix(output, "\nend\n"))
}

// TestAHeldPieceIsToldInTime: a prompt that ends like a secret begins is not
// kept for ever, and what follows on the other output does not wait for it.
func TestAHeldPieceIsToldInTime(t *testing.T) {
	is := is.New(t)
	p := newParts(t)
	p.executor.Programs["ask"] = exectest.Script{Steps: []exectest.Step{
		{Text: "is it correct-"}, {Delay: 300 * time.Millisecond, Stream: exec.Stderr, Text: "warning\n"}, {Delay: time.Hour, Text: "never\n"},
	}}
	s := masking(t, p)
	cmd := run(t, s, shell("ask"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sub, _, err := s.Subscribe(ctx, auth.Admin(), "app", cmd.ID, 0)
	is.NoErr(err)
	defer sub.Close()
	var lines []string
	for len(lines) < 2 {
		events, err := sub.Next(ctx)
		is.NoErr(err)
		for _, e := range events {
			line, err := rdev.DecodeOutput(e)
			is.NoErr(err)
			lines = append(lines, string(line.Data))
		}
	}
	is.Equal(lines, []string{"is it [masked]", "warning"})
	_, err = s.Kill(t.Context(), auth.Admin(), "app", cmd.ID)
	is.NoErr(err)
}
