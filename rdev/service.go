// Package rdev is the core: it runs commands in projects, streams what they
// print and keeps the records of them. Service composes the ports of the
// packages exec, auth and stream with the two that this package declares for
// itself, Projects and Commands; the server and the command line are thin
// layers over it.
//
// The caller of every method is an argument and is checked here, so that no
// way leads around the keys.
package rdev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/stream"
)

// Config is what a Service is made of.
type Config struct {
	Executor exec.Executor // Required.
	Projects Projects      // Required.
	Commands Commands      // Required.
	Broker   stream.Broker // Required.
	Keys     auth.KeyStore // Required.

	// Hasher hashes the secrets of new keys; the Authenticator needs the same.
	// Defaults to SHA-256.
	Hasher *auth.Hasher

	// Policy decides what a request becomes, at its Level in projects that
	// have none of their own. Defaults to the restricted level. AllowShell and
	// WidenClaude come from the scopes of each caller; what they are here does
	// not count.
	Policy policy.Policy
	// DefaultTimeout is the time limit of a command that asks for none.
	// Defaults to one hour.
	DefaultTimeout time.Duration
	// MaxTimeout is the longest that a command may ask for. Defaults to a day.
	MaxTimeout time.Duration
	// MaxOutput is how many bytes of output of one command are kept. Defaults
	// to exec.DefaultMaxOutput.
	MaxOutput int64
	// MaxProjectCommands is how many commands may run in one project at once,
	// unless the project has its own Limits; MaxKeyCommands how many of one key
	// in all projects, the admin key aside. Both are counted over all Services
	// with the same records. Default to no limit.
	MaxProjectCommands int
	MaxKeyCommands     int
	// MaxQueue is how many commands may wait for one project (Request.MaxWait),
	// half of them of one key; MaxWait is the longest that one may. Default to
	// 100 and ten minutes.
	MaxQueue int
	MaxWait  time.Duration
	// Grace is the time between TERM and KILL. Defaults to exec.DefaultGrace.
	Grace time.Duration
	// ClaudeGrace is how long a claude may go on without printing anything
	// after its result, before it is ended. Defaults to 10 s.
	ClaudeGrace time.Duration
	// LeaveRunning says that Close detaches from the running commands, for an
	// executor that keeps them, and that the next Service over the same
	// records goes on with them. Defaults to false: Close cancels them.
	LeaveRunning bool

	// Audit is the log of who did what, of the same store as Commands: what
	// cannot be noted there does not happen. Defaults to none.
	Audit Audit
	// AuditAge is how long its rows are kept. Defaults to a year; negative
	// means for ever.
	AuditAge time.Duration
	// Secrets are values that are masked in output, records and the audit log,
	// besides keys of well-known kinds and what requests pass in variables
	// whose names say that they are secret. It is asked when a command begins,
	// and must not block. Defaults to none.
	Secrets func() []auth.Secret

	// LeaveOnKeyEnd says that a command goes on when its key is revoked or
	// expires, or is narrowed so that it would not be let start the command
	// any more. Defaults to false: the command is cancelled, by whichever
	// Service runs it then.
	LeaveOnKeyEnd bool

	// Replica names this Service among those over the same records, if they
	// implement Leases. Unique for ever. Defaults to a random name.
	Replica string

	// Now is the clock of the records. Defaults to time.Now.
	Now func() time.Time
	// OnError is told of failures in the background that no caller sees, such
	// as a store that does not take an append and is tried again. Those that
	// are about a command are, or wrap, a *CommandError. It must not block.
	// Defaults to none.
	OnError func(error)
	// TracerProvider takes spans of each command: below that in the context
	// of Run, and of whichever Service goes on with the command later. A
	// command finds its place in the trace in TRACEPARENT and TRACESTATE.
	// Defaults to none, which costs nothing.
	TracerProvider trace.TracerProvider
}

func (c Config) withDefaults() Config {
	if c.DefaultTimeout == 0 {
		c.DefaultTimeout = time.Hour
	}
	if c.MaxTimeout == 0 {
		c.MaxTimeout = 24 * time.Hour
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = exec.DefaultMaxOutput
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 100
	}
	if c.MaxWait == 0 {
		c.MaxWait = 10 * time.Minute
	}
	if c.Grace == 0 {
		c.Grace = exec.DefaultGrace
	}
	if c.AuditAge == 0 {
		c.AuditAge = 365 * 24 * time.Hour
	}
	if c.ClaudeGrace == 0 {
		c.ClaudeGrace = 10 * time.Second
	}
	if c.Replica == "" {
		c.Replica = "replica-" + strings.ToLower(rand.Text())
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Executor == nil:
		return errors.New("rdev: Config.Executor is required")
	case c.Projects == nil:
		return errors.New("rdev: Config.Projects is required")
	case c.Commands == nil:
		return errors.New("rdev: Config.Commands is required")
	case c.Broker == nil:
		return errors.New("rdev: Config.Broker is required")
	case c.Keys == nil:
		return errors.New("rdev: Config.Keys is required")
	case c.MaxProjectCommands < 0, c.MaxKeyCommands < 0, c.MaxQueue < 0, c.MaxWait < 0:
		return errors.New("rdev: Config.MaxProjectCommands, MaxKeyCommands, MaxQueue or MaxWait is negative")
	case c.DefaultTimeout > c.MaxTimeout:
		return fmt.Errorf("rdev: Config.DefaultTimeout %v is above MaxTimeout %v", c.DefaultTimeout, c.MaxTimeout)
	}
	return nil
}

// A Service runs commands. All methods are safe for concurrent use.
type Service struct {
	cfg    Config
	leases Leases       // nil if the records are this Service's alone
	tracer trace.Tracer // nil if nobody traces
	keys   *auth.Watch  // of the running commands; nil if they are left running

	// base is the parent of every running command's context; stop ends it
	// with the cause that tells the executor what to do with them.
	base context.Context
	stop context.CancelCauseFunc
	// patience ends when nobody waits any longer for stores to answer.
	patience context.Context
	giveUp   context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running map[string]*worker // by command id
	workers sync.WaitGroup

	secrets  secrets
	refusals refusals

	queue queue // of the commands that wait for a place

	keeper     sync.WaitGroup // keepLeases, keepQueue, keepAudit
	stopKeeper context.CancelFunc
}

// New returns a Service over cfg, after it has taken up what an earlier one
// left: commands that were queued or running in the records are handed to the
// executor again under their old ids, which goes on with them or tells that
// they are lost. If Config.Commands implements Leases, it does so, then and
// from now on, with those that no other Service holds. ctx bounds the start alone. Close the Service when done.
func New(ctx context.Context, cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, running: make(map[string]*worker), queue: newQueue()}
	if cfg.TracerProvider != nil {
		s.tracer = cfg.TracerProvider.Tracer("github.com/orchard9/rdev/rdev")
	}
	s.base, s.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	s.patience, s.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	s.watchKeys()
	var keep context.Context
	keep, s.stopKeeper = context.WithCancel(context.WithoutCancel(ctx))
	if places, ok := cfg.Commands.(Queue); ok {
		s.keeper.Go(func() { s.keepQueue(keep, places) })
	} else if cfg.MaxProjectCommands != 0 || cfg.MaxKeyCommands != 0 {
		return nil, errors.New("rdev: Config.MaxProjectCommands and MaxKeyCommands need Commands that implement Queue")
	}
	if cfg.Audit != nil {
		s.keeper.Go(func() { s.keepAudit(keep) })
	}
	var shared bool
	if s.leases, shared = cfg.Commands.(Leases); shared {
		s.keeper.Go(func() { s.keepLeases(keep) })
		return s, nil
	}
	if err := s.recover(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// Close ends the Service: it takes no new commands (ErrShuttingDown), cancels
// the running ones, or detaches from them if Config.LeaveRunning, and waits
// until all of that is recorded or ctx ends: then it gives up on stores that do
// not answer, and the next Service finds those commands unfinished. It does not
// close the ports.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	cause := errShutdown
	if s.cfg.LeaveRunning {
		cause = exec.ErrDetached
	}
	s.stop(cause)
	done := make(chan struct{})
	go func() {
		s.workers.Wait()
		if s.keys != nil {
			s.keys.Close()
		}
		s.stopKeeper()
		s.keeper.Wait()
		close(done)
	}()
	defer s.giveUp()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rdev: commands are still being ended: %w", ctx.Err())
	}
}
