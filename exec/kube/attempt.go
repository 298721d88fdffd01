package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/exec"
)

const (
	// confirmWait is how long the API server may take to confirm a pod.
	confirmWait = 10 * time.Second
	// goneWait is how long a stream may go on after its container is gone, and
	// how long the news of a container may come after the end of its streams.
	goneWait = 5 * time.Second
)

// An attempt is one exec stream for a command.
type attempt struct {
	c     *command
	place place
	nonce string
	stdin *lateInput
	work  sync.WaitGroup
	stop  context.CancelCauseFunc // of the stream

	opened func()        // gives the token back
	begun  chan struct{} // closed when the command is about to start
}

// attempt opens a stream and returns how the command ended. A *failure says
// that it certainly did not start.
func (c *command) attempt(p place) error {
	select {
	case c.x.starting <- struct{}{}:
	case <-c.endWanted:
		return endedEarly()
	case <-c.x.ctx.Done():
		return &failure{cause: exec.ErrNotStarted, text: "the executor is closed", final: true}
	}
	ctx, stop := context.WithCancelCause(c.x.ctx)
	c.mu.Lock()
	c.place = p
	c.mu.Unlock()
	a := &attempt{c: c, place: p, nonce: rand.Text(), stdin: newLateInput(), stop: stop, begun: make(chan struct{})}
	a.opened = sync.OnceFunc(func() { <-c.x.starting })
	defer a.opened()
	a.work.Go(func() { a.watch(ctx) })
	a.work.Go(func() { a.heed(ctx) })
	stdout := newDemux(a.nonce, func(b []byte) { c.take(exec.Stdout, b) }, func(kind, detail string) { a.record(ctx, kind, detail) })
	stderr := newDemux(a.nonce, func(b []byte) { c.take(exec.Stderr, b) }, func(kind, detail string) { a.record(ctx, kind, detail) })
	err := c.x.streamer.stream(ctx, p, bootArgv(a.nonce), a.stdin, stdout, stderr)
	cause := context.Cause(ctx)
	stop(nil)
	a.stdin.give(nil)
	a.stdin.end()
	a.work.Wait()
	stdout.flush()
	stderr.flush()
	a.clear()
	return a.judge(err, cause)
}

// clear ends what the stream has left behind if the command has not told its
// end: nobody would keep its timeout, or read what it prints.
func (a *attempt) clear() {
	if a.c.mayRun() && a.c.x.ctx.Err() == nil {
		a.kill(a.c.cmd.Grace, true)
	}
}

// record takes a record of the script.
func (a *attempt) record(ctx context.Context, kind, detail string) {
	c := a.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case "ready":
		a.opened()
		c.session, c.nonce = detail, a.nonce
		a.work.Go(func() { a.confirm(ctx) })
	case "start":
		c.started = true
		close(a.begun)
	case "end":
		if c.ends == 0 {
			c.ended = time.Now()
		}
		c.ends++
		c.code, _ = strconv.Atoi(detail)
		if c.ends == 2 {
			a.stdin.end()
			a.work.Go(func() { a.linger(ctx) })
		}
	default:
		c.refused = kind
		a.stdin.end()
	}
}

// confirm tells the script what to run, if the API server says that the name
// still means the place: the stream stands, so it is the one that it leads to.
func (a *attempt) confirm(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	pod, err := a.c.x.client.Pods(a.place.namespace).Get(quiet(limited), a.place.pod, metav1.GetOptions{})
	switch {
	case err != nil:
		a.stop(&failure{cause: exec.ErrNotStarted, text: "the API server does not confirm the pod: " + err.Error(), err: err})
	case !a.place.isAt(pod):
		a.stop(&failure{cause: exec.ErrNotStarted, text: fmt.Sprintf("the pod %s was replaced or its container has restarted", a.place)})
	case !a.release():
		a.stop(endedEarly())
	default:
		a.work.Go(func() { a.limit(ctx) })
		a.stdin.give(commandInput(a.c.cmd, a.place, a.nonce))
		if a.c.cmd.Stdin != nil {
			a.stdin.end() // the command waits for it; else the script does
		}
	}
}

// release notes that the script is told what to run from now on, unless the end
// of the command is wanted already.
func (a *attempt) release() bool {
	c := a.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != "" {
		return false
	}
	c.released = time.Now()
	return true
}

// heed ends the stream when the end of the command is wanted before its script
// was told what to run.
func (a *attempt) heed(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-a.c.endWanted:
	}
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	if a.c.released.IsZero() {
		a.stop(endedEarly())
	}
}

func endedEarly() *failure {
	return &failure{cause: exec.ErrNotStarted, text: "its end was wanted before it was started", final: true}
}

// errGone says that the place is gone, and why.
type errGone struct{ why string }

func (e errGone) Error() string { return e.why }

// watch ends the stream some time after the container is gone: not every
// runtime ends the streams of a container that was killed.
func (a *attempt) watch(ctx context.Context) {
	why, gone := a.c.x.watcher.awaitGone(ctx, a.place)
	if !gone {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(goneWait):
		a.stop(errGone{why})
	}
}

// limit ends the command after its timeout, or when its end is wanted.
func (a *attempt) limit(ctx context.Context) {
	c := a.c
	var timeout <-chan time.Time
	if c.cmd.Timeout > 0 {
		timer := time.NewTimer(c.cmd.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-ctx.Done():
		return
	case <-timeout:
		c.end(exec.TimedOut)
	case <-c.endWanted:
	}
	select {
	case <-ctx.Done():
		return
	case <-a.begun: // so that there is something to kill
	case <-time.After(goneWait):
	}
	if c.isEndWanted() { // else it ended by itself at the same time
		a.kill(c.cmd.Grace, false)
		a.await(ctx)
	}
}

// linger ends children that hold the output open after the end of the command.
func (a *attempt) linger(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(max(a.c.x.options.Linger, 0)):
		a.kill(-1, true)
		a.await(ctx)
	}
}

// await gives the stream time to end by itself, and then ends it.
func (a *attempt) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(goneWait):
		a.stop(errors.New("the stream did not end though the command was killed"))
	}
}

// judge says how the command ended, from what its script told. What the
// transport says is for people alone.
func (a *attempt) judge(err, cause error) error {
	c := a.c
	c.mu.Lock()
	released, refused, ends := !c.released.IsZero(), c.refused, c.ends
	c.mu.Unlock()
	var known *failure
	var gone errGone
	switch {
	case ends >= 2:
		return nil
	case refused != "":
		return c.refusal()
	case !released && errors.As(cause, &known):
		return known
	case !released && cause != nil:
		return &failure{cause: exec.ErrNotStarted, text: cause.Error(), err: cause}
	case !released:
		return classify(err)
	case errors.As(cause, &gone):
		return fmt.Errorf("%w: %w", exec.ErrLost, gone)
	case c.x.ctx.Err() != nil:
		return fmt.Errorf("%w: this process gave it up", exec.ErrOutcomeUnknown)
	}
	ctx, cancel := context.WithTimeout(c.x.ctx, goneWait)
	defer cancel()
	if why, gone := c.x.watcher.awaitGone(ctx, a.place); gone {
		return fmt.Errorf("%w: %s", exec.ErrLost, why)
	}
	if err == nil {
		err = errors.New("the stream ended as if all were well")
	}
	left := "it was killed"
	if problem := c.killProblem(); problem != nil {
		left = "it may still run: " + problem.Error()
	}
	return fmt.Errorf("%w: the connection ended before the command told its exit code, and %s: %w", exec.ErrOutcomeUnknown, left, err)
}
