package shim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// ErrInUse: the state folder belongs to another engine that is open.
var ErrInUse = errors.New("state folder is in use by another engine")

// ErrClosed: the engine is closed or closing. Execute wraps it together with
// exec.ErrNotStarted.
var ErrClosed = errors.New("engine is closed")

// ErrRunning: the command has not ended.
var ErrRunning = errors.New("command is running")

// An Engine runs commands and owns their processes and their state. All
// methods are safe for concurrent use.
type Engine struct {
	dir            string
	options        Options
	instance       string
	name           string // of this engine, see Incarnation
	bootID         string
	lock           *os.File
	null           *os.File // what commands without Stdin read
	pids           pidSource
	orphans        *orphanage // nil unless Options.Subreaper
	spares         *spares
	pipeBuffers    *bufferPool[pipeBuffer]
	segmentBuffers *bufferPool[readBuffer]
	packBuffers    *bufferPool[packBuffer]

	closing chan struct{}  // closed by Close
	wg      sync.WaitGroup // every goroutine of the engine
	crowded chan struct{}  // asks the janitor to look

	mu         sync.Mutex
	closed     bool
	draining   bool
	deserted   bool      // see desert
	visited    time.Time // likewise
	commands   map[string]*command
	forgotten  forgotten
	ended      int
	endedBytes int64
	unsynced   []string // folders whose outcome may not be on the disk
}

// Open takes the state folder dir, which it makes if it is not there, and
// cleans up after an engine that died: processes that it left are killed, and
// their commands are recorded as exec.ErrLost. It returns ErrInUse while
// another engine has the folder. The caller must Close the engine.
func Open(dir string, options *Options) (*Engine, error) {
	e, err := open(dir, options.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("exec/shim: open %s: %w", dir, err)
	}
	return e, nil
}

func open(dir string, options Options) (_ *Engine, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, versionName), 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	instance, err := loadInstance(dir)
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		dir:            dir,
		options:        options,
		instance:       instance,
		name:           rand.Text(),
		bootID:         bootID(),
		lock:           lock,
		null:           null,
		pids:           newPIDSource(),
		orphans:        newOrphanage(options.Subreaper),
		pipeBuffers:    newBufferPool(func() *pipeBuffer { return new(pipeBuffer) }),
		segmentBuffers: newBufferPool(newReadBuffer),
		packBuffers:    newBufferPool(func() *packBuffer { return new(packBuffer) }),
		closing:        make(chan struct{}),
		crowded:        make(chan struct{}, 1),
		commands:       make(map[string]*command),
		visited:        time.Now(),
	}
	err = e.recover()
	if err == nil {
		e.spares, err = newSpares(filepath.Join(dir, spareName), options.Volatile)
	}
	if err != nil {
		null.Close()
		return nil, err
	}
	e.wg.Go(e.sweepEnded)
	if e.orphans != nil {
		e.wg.Go(func() { e.orphans.reap(e.closing) })
	}
	e.wg.Go(func() { e.spares.keep(e.closing) })
	return e, nil
}

// Instance names the incarnation of the state folder: the same for every
// engine that opens it, another one if the folder was wiped in between.
func (e *Engine) Instance() string { return e.instance }

// Incarnation is Instance with a name of this engine, which the next one that
// opens the folder does not have. Either is a Target.Instance. One that is the
// engine's Incarnation says that the command cannot have been started before it
// was opened: the engine remembers of each ID whether it ever had it, and starts
// a command with Resume that it never had.
func (e *Engine) Incarnation() string { return e.name + incarnationSep + e.instance }

// Execute runs cmd in the folder workspace, or follows it if its ID runs here
// or has ended here and is remembered. Its semantics are those of
// exec.Executor; workspace stands for the target. It is opened only if the
// command is started: exec.ErrTargetNotReady if it is no folder, or empty.
//
// A panic of sink goes through to the caller and leaves the command running.
func (e *Engine) Execute(ctx context.Context, workspace string, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if err := cmd.Validate(); err != nil {
		return exec.Result{}, err
	}
	if err := e.checkInstance(cmd); err != nil {
		return exec.Result{}, err
	}
	c, err := e.attach(ctx, workspace, cmd.WithDefaults(), e.options.Env)
	if err != nil {
		return exec.Result{}, err
	}
	defer e.detach(c)
	return c.follow(ctx, cmd.After, sink)
}

func (e *Engine) checkInstance(cmd exec.Command) error {
	if cmd.Target.Instance != "" && folderOf(cmd.Target.Instance) != e.instance {
		return fmt.Errorf("exec/shim: execute %s: %w: its state folder is gone", cmd.ID, exec.ErrLost)
	}
	return nil
}

// attach returns the command with the ID, which it starts in the environment
// env if it is unknown.
func (e *Engine) attach(ctx context.Context, workspace string, cmd exec.Command, env []string) (*command, error) {
	digest := cmd.Digest()
	if c, err := e.find(cmd, digest); c != nil || err != nil {
		return c, err
	}
	if ctx.Err() != nil && cmd.Resume {
		return nil, unknownError(cmd.ID)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("exec/shim: execute %s: %w: %w", cmd.ID, exec.ErrNotStarted, context.Cause(ctx))
	}
	// Before the claim: a wrong folder claims nothing.
	dir, err := resolveDir(workspace, cmd.Dir)
	if err != nil {
		return nil, err
	}
	c := newCommand(e, cmd, digest, dir)
	c.env = env
	if other, err := e.claim(c, cmd); other != nil || err != nil {
		return other, err
	}
	c.start(cmd)
	return c, nil
}

// find returns the command with the ID as its follower, or nil.
func (e *Engine) find(cmd exec.Command, digest string) (*command, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.findLocked(cmd, digest)
}

func (e *Engine) findLocked(cmd exec.Command, digest string) (*command, error) {
	c, ok := e.commands[cmd.ID]
	switch {
	case !ok && cmd.After > 0:
		// The caller has lines of it, so it ran. It must not run again.
		return nil, fmt.Errorf("exec/shim: execute %s: %w: it is not remembered here", cmd.ID, exec.ErrLost)
	case !ok && e.forgotten.hasLate(cmd.ID):
		return nil, fmt.Errorf("exec/shim: execute %s: %w: it has ended here and is not remembered", cmd.ID, exec.ErrOutcomeUnknown)
	case !ok && cmd.Resume && (cmd.Target.Instance != e.Incarnation() || e.forgotten.mayHave(cmd.ID)):
		return nil, unknownError(cmd.ID)
	case !ok:
		return nil, nil
	case c.digest != digest:
		return nil, fmt.Errorf("exec/shim: execute %s: %w", cmd.ID, exec.ErrConflict)
	}
	c.followers++
	return c, nil
}

// unknownError is for a command that may have been started before.
func unknownError(id string) error {
	return fmt.Errorf("exec/shim: execute %s: %w: it is not known here, if it ever was", id, exec.ErrOutcomeUnknown)
}

// claim makes c the command with its ID, unless there is one by now.
func (e *Engine) claim(c *command, cmd exec.Command) (*command, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if other, err := e.findLocked(cmd, c.digest); other != nil || err != nil {
		return other, err
	}
	if e.closed || e.draining {
		return nil, fmt.Errorf("exec/shim: execute %s: %w: %w", cmd.ID, exec.ErrNotStarted, ErrClosed)
	}
	c.followers = 1
	e.commands[c.id] = c
	e.wg.Add(1) // for the command; its end is in command.finish
	return nil, nil
}

func (e *Engine) detach(c *command) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.followers--
}

// Cancel ends the command as exec.Executor.Cancel says: it returns after every
// process of the command is seen dead. An ID that is unknown or has ended is
// nil. If ctx ends first, the command goes on dying and Cancel returns the
// cause.
func (e *Engine) Cancel(ctx context.Context, id string) error {
	return e.end(ctx, id, (*command).cancel)
}

// Kill is Cancel with KILL at once, also for a command in its grace period.
func (e *Engine) Kill(ctx context.Context, id string) error {
	return e.end(ctx, id, (*command).kill)
}

// end begins the end of a command and waits for it.
func (e *Engine) end(ctx context.Context, id string, begin func(*command)) error {
	e.mu.Lock()
	c := e.commands[id]
	e.mu.Unlock()
	if c == nil || c.isDone() {
		return nil
	}
	begin(c)
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("exec/shim: cancel %s: its end was not awaited: %w", id, context.Cause(ctx))
	}
	if pids := c.outcome.result.Survivors; len(pids) > 0 {
		return fmt.Errorf("exec/shim: cancel %s: processes %v are still alive", id, pids)
	}
	return nil
}

// Forget deletes the state of an ended command. Execute of its ID is
// exec.ErrOutcomeUnknown then, at least until thousands of others were deleted
// after it. Forget returns ErrRunning if the command has not ended or is being
// followed, and nil if the ID is unknown.
func (e *Engine) Forget(id string) error {
	gone, err := e.forget(id)
	if err == nil && gone != "" && !e.spares.reuse(gone) {
		err = os.RemoveAll(gone)
	}
	if err != nil {
		return fmt.Errorf("exec/shim: forget %s: %w", id, err)
	}
	return nil
}

func (e *Engine) forget(id string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.commands[id]
	if c == nil {
		return "", nil
	}
	if !c.isDone() || c.followers > 0 {
		return "", ErrRunning
	}
	return e.forgetLocked(c)
}

// Close cancels all commands, waits for their end and gives the state folder
// back. Callers of Execute get their results; new commands are ErrNotStarted.
// If ctx ends first, commands get no more grace but KILL at once, and Close
// returns the cause after all. Closing again waits likewise.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	var running []*command
	for _, c := range e.commands {
		if !c.isDone() {
			running = append(running, c)
		}
	}
	e.mu.Unlock()
	if first {
		close(e.closing)
	}
	for _, c := range running {
		c.cancel()
	}
	ended := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("exec/shim: close %s: commands were killed: %w", e.dir, context.Cause(ctx))
		for _, c := range running {
			c.kill()
		}
		<-ended
	}
	if first {
		e.null.Close()
		e.lock.Close()
	}
	return err
}
