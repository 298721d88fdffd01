package server

import (
	"net/http"
	"time"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
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
	if _, err := x.query(); err != nil {
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
	cmd, created, err := s.svc.Run(x.r.Context(), x.caller, req)
	if err != nil {
		return err
	}
	x.concerns(cmd)
	x.Header().Set("Location", s.commandURL(cmd))
	if !created {
		x.Header().Set("Idempotency-Replayed", "true")
		return x.reply(http.StatusOK, s.commandDataOf(cmd))
	}
	return x.reply(http.StatusCreated, s.commandDataOf(cmd))
}
