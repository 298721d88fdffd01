package metrics

import (
	"context"

	"github.com/orchard9/rdev/rdev"
)

// Commands returns next with its calls counted, and with the commands that end
// in it. It implements rdev.Leases and rdev.Queue if next does.
func (m *Metrics) Commands(next rdev.Commands) rdev.Commands {
	counted := &commands{next, m}
	shared, isShared := next.(rdev.Leases)
	places, hasPlaces := next.(rdev.Queue)
	switch {
	case isShared && hasPlaces:
		return &sharedQueue{&sharedCommands{counted, &leases{shared, m}}, &queue{places, m}}
	case isShared:
		return &sharedCommands{counted, &leases{shared, m}}
	case hasPlaces:
		return &queuedCommands{counted, &queue{places, m}}
	}
	return counted
}

type commands struct {
	next rdev.Commands
	m    *Metrics
}

type sharedCommands struct {
	*commands
	*leases
}

type queuedCommands struct {
	*commands
	*queue
}

type sharedQueue struct {
	*sharedCommands
	*queue
}

type queue struct {
	next rdev.Queue
	m    *Metrics
}

func (q *queue) Admit(ctx context.Context, ids []string) (places []rdev.Place, err error) {
	defer q.m.call("commands", "admit", &err)()
	return q.next.Admit(ctx, ids)
}

func (c *commands) Insert(ctx context.Context, cmd rdev.Command) (stored rdev.Command, created bool, err error) {
	defer c.m.call("commands", "insert", &err)()
	stored, created, err = c.next.Insert(ctx, cmd)
	if err == nil && created {
		c.m.announce(stored)
	}
	return stored, created, err
}

func (c *commands) Get(ctx context.Context, id string) (cmd rdev.Command, err error) {
	defer c.m.call("commands", "get", &err)()
	return c.next.Get(ctx, id)
}

func (c *commands) List(ctx context.Context, filter rdev.CommandFilter, limit int) (found []rdev.Command, err error) {
	defer c.m.call("commands", "list", &err)()
	return c.next.List(ctx, filter, limit)
}

// Update sees each command end exactly once, whichever replica ended it: a
// record in a terminal state takes no second update.
func (c *commands) Update(ctx context.Context, id string, change func(*rdev.Command) error) (cmd rdev.Command, err error) {
	defer c.m.call("commands", "update", &err)()
	cmd, err = c.next.Update(ctx, id, change)
	if err == nil && cmd.State.Terminal() {
		c.m.ended(cmd)
	}
	return cmd, err
}

// announce makes the counters of a command's ends begin at zero, so that the
// first of each is an increase.
func (m *Metrics) announce(cmd rdev.Command) {
	for _, state := range []rdev.State{rdev.StateSucceeded, rdev.StateFailed, rdev.StateCanceled, rdev.StateTimedOut, rdev.StateLost} {
		m.commands.WithLabelValues(cmd.Project, string(cmd.Type), string(state))
	}
}

func (m *Metrics) ended(cmd rdev.Command) {
	kind := string(cmd.Type)
	m.commands.WithLabelValues(cmd.Project, kind, string(cmd.State)).Inc()
	if !cmd.StartedAt.IsZero() {
		m.commandDuration.WithLabelValues(cmd.Project, kind).Observe(cmd.EndedAt.Sub(cmd.StartedAt).Seconds())
	}
	if cmd.Result != nil {
		m.outputBytes.WithLabelValues(cmd.Project, "stdout").Add(float64(cmd.Result.StdoutBytes))
		m.outputBytes.WithLabelValues(cmd.Project, "stderr").Add(float64(cmd.Result.StderrBytes))
	}
}

type leases struct {
	rdev.Leases
	m *Metrics
}

func (l *leases) Claim(ctx context.Context, owner string, limit int) (claimed []rdev.Command, err error) {
	defer l.m.call("leases", "claim", &err)()
	claimed, err = l.Leases.Claim(ctx, owner, limit)
	l.m.takeovers.Add(float64(len(claimed)))
	return claimed, err
}

func (l *leases) Renew(ctx context.Context, owner string, ids []string) (held []rdev.Lease, err error) {
	defer l.m.call("leases", "renew", &err)()
	return l.Leases.Renew(ctx, owner, ids)
}

func (l *leases) Release(ctx context.Context, owner string, ids []string) (err error) {
	defer l.m.call("leases", "release", &err)()
	return l.Leases.Release(ctx, owner, ids)
}
