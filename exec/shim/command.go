package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

// A command is one ID that the engine knows: running or ended.
type command struct {
	engine *Engine
	id     string
	digest string
	folder string   // its state
	dir    string   // its working folder
	env    []string // what its own variables are added to; of one that was started
	log    *outputLog

	records *recordFile // from the start to the end

	cancelOnce sync.Once
	cancelled  chan struct{}
	killOnce   sync.Once
	killed     chan struct{} // cancelled, and there is no time for grace

	done    chan struct{}
	outcome outcome     // after done
	ended   time.Time   // after done
	told    atomic.Bool // the outcome was given to a follower

	followers int // guarded by engine.mu
}

func newCommand(e *Engine, cmd exec.Command, digest, dir string) *command {
	folder := filepath.Join(e.dir, versionName, cmd.ID)
	return &command{
		engine:    e,
		id:        cmd.ID,
		digest:    digest,
		folder:    folder,
		dir:       dir,
		log:       newLog(folder, cmd.MaxOutput, e.hasSpace),
		cancelled: make(chan struct{}),
		killed:    make(chan struct{}),
		done:      make(chan struct{}),
	}
}

func (c *command) cancel() { c.cancelOnce.Do(func() { close(c.cancelled) }) }

func (c *command) kill() {
	c.cancel()
	c.killOnce.Do(func() { close(c.killed) })
}

func (c *command) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// start brings the command to life, or to its end with an error: one that
// holds for ever is recorded, one that wraps exec.ErrNotStarted leaves nothing.
func (c *command) start(cmd exec.Command) {
	p, err := c.launch(cmd)
	switch {
	case err == nil:
		go c.supervise(p, cmd)
	case errors.Is(err, exec.ErrProgramNotFound), errors.Is(err, exec.ErrNotExecutable):
		c.finish(outcome{err: err})
	default:
		c.abandon(fmt.Errorf("exec/shim: start %s: %w: %w", c.id, exec.ErrNotStarted, err))
	}
}

// launch makes the state folder and starts the process.
func (c *command) launch(cmd exec.Command) (*process, error) {
	if !c.engine.canStart() {
		return nil, fmt.Errorf("too little is free in the state folder: %w", unix.ENOSPC)
	}
	files, err := c.engine.spares.claim(c.folder)
	if err != nil {
		return nil, err
	}
	c.records = &recordFile{file: files.records}
	c.log.prepare(files.segment)
	env := environ(c.env, cmd.Env, c.dir, c.id, cookie(c.engine.instance, c.id))
	path, err := lookProgram(cmd.Argv[0], c.dir, env)
	if err != nil {
		return nil, err
	}
	err = c.records.append(record{Started: &startedRecord{
		ID:        c.id,
		Digest:    c.digest,
		Time:      time.Now(),
		BootID:    c.engine.bootID,
		Target:    cmd.Target.Name,
		Argv:      cmd.Argv,
		EnvNames:  slices.Sorted(maps.Keys(cmd.Env)),
		Dir:       c.dir,
		Timeout:   cmd.Timeout,
		Grace:     cmd.Grace,
		MaxOutput: cmd.MaxOutput,
	}})
	if err == nil && !c.engine.options.Volatile {
		err = c.records.sync()
	}
	if err != nil {
		return nil, err
	}
	birth := c.engine.orphans.expect()
	p, err := startProcess(path, cmd, c.dir, env, c.engine.null)
	if err != nil {
		birth.failed()
		return nil, err
	}
	birth.born(p.pid)
	p.birth = birth
	return p, nil
}

// note does what has to be known of a process while it runs.
func (c *command) note(p *process) {
	raiseOOMScore(p.pid, c.engine.options.OOMScore)
	start := startTime(p.pid)
	p.tree = newTree(c.engine.pids, p.pid, start, p.forked, cookie(c.engine.instance, c.id))
	p.tree.birth = p.birth
	// Not fsynced: if the machine goes down, so does the process.
	_ = c.records.append(record{Process: &processRecord{PID: p.pid, StartTime: start}})
}

// supervise waits for the end of the command, brings it about where it is
// asked to, and records the outcome.
func (c *command) supervise(p *process, cmd exec.Command) {
	stdout := &outputReader{stream: exec.Stdout, file: p.stdout, log: c.log, buffers: c.engine.pipeBuffers}
	stderr := &outputReader{stream: exec.Stderr, file: p.stderr, log: c.log, buffers: c.engine.pipeBuffers}
	drained := make(chan struct{})
	var readers, others sync.WaitGroup
	readers.Go(stdout.run)
	readers.Go(stderr.run)
	c.note(p) // after the readers have begun: a short command has printed by now
	others.Go(func() {
		readers.Wait()
		close(drained)
	})
	exited := make(chan struct{})
	others.Go(func() {
		p.awaitExit()
		close(exited)
	})
	if p.stdin != nil {
		others.Go(func() { p.feed(cmd.Stdin) })
	}

	reason := c.await(p, cmd, exited, drained)
	exitedFor := c.giveWay(reason)
	survivors := p.tree.kill()
	// A process that KILL does not end at once is in the kernel's hands (a
	// dead network disk): there is no outcome before it comes back.
	<-exited
	result, err := p.reap()
	p.tree.birth.over()
	// Everything that held the output open is dead. If it is not, or has given
	// the pipe to a stranger, the output ends with what the pipes hold. To read
	// that takes as long as the disk does: it was written, and is not lost.
	awaitFor(drained, killWait)
	stdout.finish()
	stderr.finish()
	<-drained
	p.closePipes()
	others.Wait()

	if err != nil {
		c.finish(outcome{err: &recordedError{
			message: fmt.Sprintf("exec/shim: wait for %s: %v: %v", c.id, exec.ErrOutcomeUnknown, err),
			cause:   exec.ErrOutcomeUnknown,
		}})
		return
	}
	result.Reason = reason
	result.Survivors = survivors
	result.StdoutBytes, result.StderrBytes = stdout.total, stderr.total
	result.Started = p.started.Round(0)
	result.Duration = time.Since(p.started) - exitedFor
	result.Ended = result.Started.Add(result.Duration)
	c.finish(outcome{result: result})
}

// await returns when what is left of the command's tree is to be killed: its
// main process has exited and nobody holds its output open, or the time that
// it had for that is over.
func (c *command) await(p *process, cmd exec.Command, exited, drained <-chan struct{}) exec.Reason {
	var timeout <-chan time.Time
	if cmd.Timeout > 0 {
		timer := time.NewTimer(cmd.Timeout - time.Since(p.started))
		defer timer.Stop()
		timeout = timer.C
	}
	reason := exec.Exited
	select {
	case <-exited:
		if c.engine.options.Linger > 0 {
			linger := time.NewTimer(c.engine.options.Linger)
			defer linger.Stop()
			select {
			case <-drained:
			case <-linger.C:
			case <-timeout:
			case <-c.cancelled:
			}
		}
		return reason
	case <-timeout:
		reason = exec.TimedOut
	case <-c.cancelled:
		reason = exec.Canceled
	}
	// Whether the process ended by itself in the same moment does not matter
	// if nobody asked for its end before.
	select {
	case <-exited:
		return exec.Exited
	default:
	}
	p.tree.remember()
	if cmd.Grace > 0 {
		p.tree.terminate()
		grace := time.NewTimer(cmd.Grace)
		defer grace.Stop()
		for exited != nil || drained != nil {
			select {
			case <-exited:
				exited = nil
			case <-drained:
				drained = nil
			case <-grace.C:
				exited, drained = nil, nil
			case <-c.killed:
				exited, drained = nil, nil
			}
		}
		p.tree.remember()
	}
	return reason
}

// giveWay waits as Options.GiveWay says and returns how long that was.
func (c *command) giveWay(reason exec.Reason) time.Duration {
	began, pause := time.Now(), c.engine.options.GiveWay
	if reason != exec.Exited || !c.log.writtenSince(began.Add(-pause)) {
		return 0
	}
	time.Sleep(pause)
	return time.Since(began)
}

// finish records the outcome and tells everybody.
func (c *command) finish(o outcome) {
	c.log.close()
	c.log.mu.Lock()
	lines, dropped := c.log.last, c.log.dropped
	c.log.mu.Unlock()
	c.ended = time.Now()
	o.result.Lines, o.result.Truncated = lines, dropped
	if o.err != nil {
		o.result = exec.Result{}
	}
	c.outcome = o
	// If it cannot be written, those who follow now get the outcome, and after
	// the next Open the command is lost.
	exit := o.record(c.digest, lines, c.ended)
	_ = c.records.append(record{Exit: &exit})
	c.records.close()
	c.engine.noteEnd(c)
	close(c.done)
	c.engine.syncSoon(c)
	c.engine.wg.Done()
}

// abandon ends a command that was claimed but did not run.
func (c *command) abandon(err error) {
	if c.records != nil {
		c.records.close()
	}
	c.log.close()
	if !errors.Is(err, fs.ErrExist) { // then the folder is not ours
		_ = removeFolder(c.folder)
	}
	c.outcome, c.ended = outcome{err: err}, time.Now()
	e := c.engine
	e.mu.Lock()
	delete(e.commands, c.id)
	e.mu.Unlock()
	close(c.done)
	e.wg.Done()
}

func awaitFor(done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
