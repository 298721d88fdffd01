package rdev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
)

// errShutdown ends the commands of a Service that is closed.
var errShutdown = errors.New("rdev: the service was closed")

// errCanceled ends a command whose cancellation was asked for.
var errCanceled = errors.New("rdev: the command was cancelled")

// Run records a command and starts it; it does not wait for it. With
// req.IdempotencyKey, a repeated request returns the first one's command and
// created is false.
//
// A request that is refused never becomes a command: ErrProjectNotFound,
// ErrForbidden, policy.ErrRefused (a *policy.Refusal), ErrInvalidArgument (an
// *ArgumentError), exec.ErrInvalidCommand (an *exec.FieldError),
// ErrIdempotencyConflict, ErrTooManyCommands (a *LimitError), ErrShuttingDown. What goes wrong later is the
// command's outcome and no error of Run.
func (s *Service) Run(ctx context.Context, caller auth.Principal, req Request) (cmd Command, created bool, err error) {
	ctx, span := s.span(ctx, "rdev.run")
	defer func() {
		if err == nil {
			span.about(&cmd)
		}
		span.end(err)
	}()
	defer func() { err = s.noteRefusal(ctx, caller, string(scopeOf(req.Type())), req.Project, err) }()
	project, err := s.allow(ctx, caller, req.Project, scopeOf(req.Type()))
	if err != nil {
		return Command{}, false, err
	}
	cmd, err = s.plan(caller, project, req)
	if err != nil {
		return Command{}, false, err
	}
	if s.tracer != nil {
		traceOf(ctx).stamp(&cmd)
	}
	// A target that is not there is the command's outcome: its worker finds it
	// missing again.
	_ = s.locate(ctx, &cmd)
	// The worker is counted before the record exists: once Close has begun to
	// wait, no record is made that nobody runs.
	if err := s.enter(); err != nil {
		return Command{}, false, err
	}
	cmd.Audit = s.intent(ctx, caller, cmd)
	inserting, insert := s.span(ctx, "rdev.store.insert")
	stored, created, err := s.insert(inserting, cmd, req.MaxWait)
	insert.end(err)
	if errors.Is(err, ErrTooManyCommands) {
		s.workers.Done()
		return Command{}, false, err
	}
	if err != nil {
		s.workers.Done()
		return Command{}, false, fmt.Errorf("rdev: record command: %w", err)
	}
	if !created {
		s.workers.Done()
		if stored.RequestDigest != cmd.RequestDigest {
			return Command{}, false, ErrIdempotencyConflict
		}
		return stored, false, nil
	}
	s.launch(stored, true)
	return stored, true, nil
}

// locate makes a queued command one that is handed to the executor: its record
// says so, with the incarnation of the target, before the executor hears of it
// for the first time.
func (s *Service) locate(ctx context.Context, cmd *Command) error {
	if locator, ok := s.cfg.Executor.(exec.Locator); ok {
		target, err := locator.Locate(ctx, cmd.Spec.Target.Name)
		if err != nil {
			return err
		}
		cmd.Spec.Target = target
	}
	cmd.State, cmd.StartedAt = StateRunning, s.now()
	return nil
}

// plan turns a request into the record of a queued command.
func (s *Service) plan(caller auth.Principal, project Project, req Request) (Command, error) {
	timeout, err := s.timeout(project, req.Timeout)
	if err != nil {
		return Command{}, err
	}
	if err := s.checkMaxWait(req.MaxWait); err != nil {
		return Command{}, err
	}
	if err := checkIdempotencyKey(req.IdempotencyKey); err != nil {
		return Command{}, err
	}
	allowed := s.policyOf(caller, project)
	plan, err := allowed.Plan(req.Request)
	if err != nil {
		return Command{}, s.hint(err, caller, project, req.Request)
	}
	// A shell request may spell a command of another type, which needs that
	// type's scope too.
	if scope := scopeOf(plan.Type); !caller.Can(scope) {
		return Command{}, missing(scope)
	}
	now := s.now()
	cmd := Command{
		ID:             NewCommandID(now),
		Project:        req.Project,
		Type:           plan.Type,
		Policy:         allowed.Level,
		Argv:           maskAll(s.masksOf(plan.Env), plan.Asked),
		State:          StateQueued,
		KeyID:          caller.KeyID,
		From:           caller.Addr,
		CreatedAt:      now,
		IdempotencyKey: req.IdempotencyKey,
		RequestID:      req.RequestID,
		Gate:           s.gate(caller, project),
	}
	if s.leases != nil {
		cmd.Owner = s.cfg.Replica
	}
	if req.IdempotencyKey != "" {
		cmd.RequestDigest = req.digest()
	}
	cmd.Spec = exec.Command{
		ID:        cmd.ID,
		Target:    exec.Target{Name: req.Project},
		Argv:      plan.Argv,
		Env:       plan.Env,
		Dir:       req.Dir,
		Stdin:     plan.Stdin,
		Timeout:   timeout,
		Grace:     s.cfg.Grace,
		MaxOutput: s.output(project),
	}
	if err := cmd.Spec.Validate(); err != nil {
		return Command{}, err
	}
	return cmd, nil
}

func checkIdempotencyKey(key string) error {
	if len(key) > 255 {
		return &ArgumentError{Field: "Idempotency-Key", Problem: "is longer than 255 characters"}
	}
	for i := range len(key) {
		if key[i] < 0x21 || key[i] > 0x7e {
			return &ArgumentError{Field: "Idempotency-Key", Problem: "holds something else than printable ASCII characters"}
		}
	}
	return nil
}

// enter counts a worker in, unless the Service was closed.
func (s *Service) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrShuttingDown
	}
	s.workers.Add(1)
	return nil
}

// now is the time of records, in the precision that stores keep.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Microsecond) }
