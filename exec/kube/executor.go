package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec"
)

// Executor runs commands in pods. It implements exec.Executor and exec.Locator;
// Projects are what its targets belong to.
type Executor struct {
	options  Options
	client   typedcorev1.CoreV1Interface
	streamer *streamer
	watcher  *watcher
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	work     sync.WaitGroup // commands in direct mode, and placements
	watching sync.WaitGroup // what ends with ctx
	starting chan struct{}  // a token for each exec that is being opened
	tracer   trace.Tracer   // nil if nobody traces
	killWait time.Duration

	mu          sync.Mutex
	closed      bool
	supervisors map[string]*supervisor // by instance
	commands    map[string]*command    // in direct mode, by ID
	ended       []*command             // of those, the oldest first
}

// maxStarting is how many execs are opened at once. Container runtimes become
// slower with more of them, not faster.
const maxStarting = 16

var (
	_ exec.Executor  = (*Executor)(nil)
	_ exec.Locator   = (*Executor)(nil)
	_ exec.Forgetter = (*Executor)(nil)
)

// New watches the pods and the settings in the namespace and returns when it
// knows both. Where the API server refuses it the settings, projects have the
// defaults, and their Detail says so. Nothing of cfg but its rate limit and User-Agent is changed,
// in a copy. The caller must Close the Executor.
func New(cfg *rest.Config, opts *Options) (*Executor, error) {
	options := opts.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("exec/kube: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = options.userAgent()
	// The API server shares its capacity out fairly by itself. A limit on this
	// side only makes commands wait for one another.
	cfg.QPS, cfg.Burst, cfg.RateLimiter = -1, -1, nil
	client, err := typedcorev1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("exec/kube: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	x := &Executor{
		options:  options,
		client:   client,
		streamer: &streamer{config: cfg, client: client.RESTClient(), ready: options.ReadyTimeout},
		ctx:      ctx,
		stop:     stop,
		starting: make(chan struct{}, maxStarting),
		killWait: killWait,

		supervisors: make(map[string]*supervisor),
		commands:    make(map[string]*command),
	}
	if options.TracerProvider != nil {
		x.tracer = options.TracerProvider.Tracer("github.com/orchard9/rdev/exec/kube")
	}
	if x.watcher, err = newWatcher(ctx, client, options); err == nil {
		err = x.watcher.sync(ctx, options.SyncTimeout)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("exec/kube: watch namespace %s: %w", options.Namespace, err)
	}
	return x, nil
}

// Execute implements exec.Executor.
func (x *Executor) Execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if err := cmd.Validate(); err != nil {
		return exec.Result{}, err
	}
	if err := checkDir(cmd.Dir); err != nil {
		return exec.Result{}, err
	}
	deadline := time.Now().Add(x.options.Patience)
	for {
		result, err := x.execute(ctx, cmd, sink)
		var elsewhere *errElsewhere
		if !errors.As(err, &elsewhere) || !x.awaitNews(ctx, cmd.Target, elsewhere.place, deadline) {
			return result, err
		}
	}
}

// awaitNews waits until the API server tells that the place is gone, and what the
// target means then.
func (x *Executor) awaitNews(ctx context.Context, target exec.Target, p place, deadline time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if _, gone := x.watcher.awaitGone(ctx, p); !gone {
		return false
	}
	for {
		changed := x.watcher.next()
		if _, err := x.watcher.resolve(ctx, target); !errors.Is(err, exec.ErrTargetNotReady) {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return true // to be told so
		}
	}
}

// execute is Execute, once. With an *errElsewhere it has done nothing.
func (x *Executor) execute(ctx context.Context, cmd exec.Command, sink func([]exec.Line) error) (result exec.Result, err error) {
	reaching, reach := x.span(ctx, "kube.shim")
	s, err := x.supervisorOf(reaching, cmd.Target, cmd.ID)
	reach.end(err)
	if err != nil {
		return exec.Result{}, fmt.Errorf("exec/kube: execute %s: %w", cmd.ID, err)
	}
	ctx, stream := x.span(ctx, "kube.stream")
	if s != nil {
		stream.in(s.place)
		// The supervisor is that instance's, and has names of its own. A new
		// command may be started by any engine, also if that was replaced since.
		_, incarnation := splitInstance(cmd.Target.Instance)
		if cmd.Target.Instance = ""; cmd.Resume {
			cmd.Target.Instance = incarnation
		}
		result, err := s.client.Execute(ctx, s.placement().workspace, cmd, sink)
		stream.end(err)
		return result, err
	}
	defer func() { stream.end(err) }()
	c, err := x.attach(ctx, cmd.WithDefaults())
	if err != nil {
		return exec.Result{}, fmt.Errorf("exec/kube: execute %s: %w", cmd.ID, err)
	}
	defer x.detach(c)
	return c.follow(ctx, cmd.After, sink)
}

// supervisorOf returns the supervisor of the target, or nil if the command runs
// in direct mode or is to.
func (x *Executor) supervisorOf(ctx context.Context, target exec.Target, id string) (*supervisor, error) {
	x.mu.Lock()
	direct := x.options.Direct || x.commands[id] != nil
	x.mu.Unlock()
	if direct {
		return nil, nil
	}
	p, err := x.watcher.resolve(ctx, target)
	if err != nil {
		return nil, err
	}
	s, err := x.supervisor(ctx, p)
	var unplaceable *errUnplaceable
	if errors.As(err, &unplaceable) {
		return nil, nil
	}
	return s, err
}

// Cancel implements exec.Executor.
func (x *Executor) Cancel(ctx context.Context, target exec.Target, id string) error {
	s, err := x.supervisorOf(ctx, target, id)
	switch {
	case errors.Is(err, exec.ErrLost):
		return nil // certainly gone with its container, every process of it
	case err != nil:
		return fmt.Errorf("exec/kube: cancel %s: %w", id, err)
	case s != nil:
		return s.client.Cancel(ctx, id)
	}
	x.mu.Lock()
	c := x.commands[id]
	x.mu.Unlock()
	if c == nil {
		_, err := x.watcher.resolve(ctx, target)
		if errors.Is(err, exec.ErrTargetNotFound) || errors.Is(err, exec.ErrNotStarted) { // the latter: nothing is known
			return fmt.Errorf("exec/kube: cancel %s: %w", id, err)
		}
		return x.cancelUnknown(ctx, target, id)
	}
	if !c.isDone() {
		c.end(exec.Canceled)
		select {
		case <-c.done:
		case <-ctx.Done():
			return fmt.Errorf("exec/kube: cancel %s: its end was not awaited: %w", id, context.Cause(ctx))
		}
	} else if !c.mayRun() {
		return nil
	} else { // its connection broke, and it could not be killed then
		c.kill(ctx, c.cmd.Grace, true)
	}
	if err := c.killProblem(); err != nil {
		return fmt.Errorf("exec/kube: cancel %s: %w", id, err)
	}
	return nil
}

// cancelUnknown is Cancel of an ID that is not known, where commands run in
// direct mode here: with other settings, or with more room, they run under a
// shim that another process has placed.
func (x *Executor) cancelUnknown(ctx context.Context, target exec.Target, id string) error {
	p, err := x.watcher.resolve(ctx, target)
	if err != nil {
		return nil // nothing runs there
	}
	if err := x.lookForState(ctx, p); err != nil {
		return fmt.Errorf("exec/kube: cancel %s, which did not run in direct mode here: %w", id, err)
	}
	return nil
}

// Forget implements exec.Forgetter: what a command printed is not left in its
// pod. It asks a shim that is reached already, and no other; what it is not told
// of goes when it is old, as does what ran in direct mode.
func (x *Executor) Forget(ctx context.Context, target exec.Target, id string) error {
	instance, _ := splitInstance(target.Instance)
	x.mu.Lock()
	s := x.supervisors[instance]
	x.mu.Unlock()
	if s == nil {
		return nil
	}
	select {
	case <-s.ready:
	default: // it is being placed
		return nil
	}
	if s.err != nil {
		return nil
	}
	return s.client.Forget(ctx, id)
}

// Locate implements exec.Locator.
func (x *Executor) Locate(ctx context.Context, name string) (exec.Target, error) {
	p, err := x.watcher.resolve(ctx, exec.Target{Name: name})
	if err != nil {
		return exec.Target{}, fmt.Errorf("exec/kube: locate %s: %w", name, err)
	}
	return exec.Target{Name: name, Instance: withShim(p.instance(), x.incarnation(p))}, nil
}

// incarnation returns that of the place's shim, or "" if it is not known yet.
func (x *Executor) incarnation(p place) string {
	x.mu.Lock()
	s := x.supervisors[p.instance()]
	x.mu.Unlock()
	if s == nil {
		return ""
	}
	select {
	case <-s.ready:
		if s.err == nil {
			return s.client.LastIncarnation()
		}
	default: // it is being placed
	}
	return ""
}

// Close leaves commands under a shim running: calls of Execute return an error
// that wraps exec.ErrDetached. It cancels those of direct mode, waits for their
// end and ends the watch. If ctx ends first, they are left to themselves, and
// Close returns the cause.
func (x *Executor) Close(ctx context.Context) error {
	x.mu.Lock()
	x.closed = true
	for _, c := range x.commands {
		c.end(exec.Canceled)
	}
	x.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		x.work.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("exec/kube: close: commands are left running: %w", context.Cause(ctx))
	}
	x.stop()
	<-ended
	x.watching.Wait()
	x.watcher.work.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.ended {
		c.out.spool.close()
	}
	return err
}
