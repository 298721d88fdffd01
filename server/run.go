package server

import (
	"net/http"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream/sse"
)

// The bodies of the three kinds of commands. The fields of the embedded
// structs are fields of the body.

type claudeBody struct {
	policy.Claude
	place
}

type shellBody struct {
	policy.Shell
	Env map[string]string `json:"env"`
	place
}

type gitBody struct {
	policy.Git
	place
}

// place is what all kinds have.
type place struct {
	Dir     string    `json:"cwd"`
	Timeout *duration `json:"timeout"`
	MaxWait *duration `json:"max_wait"`
}

func (s *Server) runClaude(x *exchange) error {
	var body claudeBody
	if err := x.decode(&body); err != nil {
		return err
	}
	return s.run(x, policy.Request{Claude: &body.Claude}, body.place)
}

func (s *Server) runShell(x *exchange) error {
	var body shellBody
	if err := x.decode(&body); err != nil {
		return err
	}
	return s.run(x, policy.Request{Shell: &body.Shell, Env: body.Env}, body.place)
}

func (s *Server) runGit(x *exchange) error {
	var body gitBody
	if err := x.decode(&body); err != nil {
		return err
	}
	return s.run(x, policy.Request{Git: &body.Git}, body.place)
}

// run starts a command. A retried request, told by its Idempotency-Key, is
// answered with 200 and the first one's command.
func (s *Server) run(x *exchange, what policy.Request, where place) error {
	values, err := x.query(outputParam)
	if err != nil {
		return err
	}
	batches, err := readOutput(values)
	if err != nil {
		return err
	}
	req := rdev.Request{Project: x.project(), Request: what, Dir: where.Dir, RequestID: x.id}
	if where.Timeout != nil {
		if req.Timeout = time.Duration(*where.Timeout); req.Timeout == 0 {
			return invalid("timeout", "is not above zero")
		}
	}
	if where.MaxWait != nil {
		req.MaxWait = time.Duration(*where.MaxWait)
	}
	if keys := x.r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		if len(keys) > 1 || keys[0] == "" {
			return invalid("Idempotency-Key", "is empty or there twice")
		}
		req.IdempotencyKey = keys[0]
	}
	follow := accepts(x.r.Header, eventStream)
	release := func() {}
	if follow {
		if release, err = s.mayFollow(x); err != nil {
			return err
		}
	}
	cmd, created, err := s.svc.Run(x.r.Context(), x.caller, req)
	if err != nil {
		release()
		return err
	}
	x.concerns(cmd)
	x.Header().Set("Location", s.commandURL(cmd))
	status := http.StatusCreated
	if !created {
		x.Header().Set("Idempotency-Replayed", "true")
		status = http.StatusOK
	}
	if follow {
		if rd, err := s.follow(x, cmd, batches, release); err == nil {
			return s.stream(x, rd, status)
		}
		// It runs: the answer is the command, and its events_url will say what
		// is wrong, if it still is.
	}
	return x.reply(status, s.commandDataOf(cmd))
}

// mayFollow finds out what would keep the caller from the events of a command
// that it is about to start, and takes one of its streams.
func (s *Server) mayFollow(x *exchange) (release func(), err error) {
	switch {
	case !x.caller.Can(auth.ScopeStreamsRead):
		return nil, lacksScope(auth.ScopeStreamsRead)
	case len(x.r.Header.Values(lastEventIDHeader)) > 0:
		// A reader that comes back with the same request would start another
		// command each time.
		return nil, invalid(lastEventIDHeader, "has no place here: a stream is resumed at the command's events_url")
	case s.readers.isDraining():
		return nil, errDraining
	}
	return s.takeStream(x)
}

// follow lets the caller of a command in as its reader.
func (s *Server) follow(x *exchange, cmd rdev.Command, batches bool, release func()) (*reader, error) {
	sub, cmd, err := s.svc.Subscribe(x.r.Context(), x.caller, x.project(), cmd.StreamID(), 0)
	if err != nil {
		release()
		return nil, err
	}
	at, head := cursor{Cursor: sse.Cursor{Stream: cmd.StreamID()}, batches: batches}, sub.Head()
	verdict, err := decide(at, head, cmd.State)
	if err != nil {
		sub.Close()
		release()
		return nil, err
	}
	return s.open(x, sub, release, at, verdict, waitsFor(cmd, head.Seq))
}
