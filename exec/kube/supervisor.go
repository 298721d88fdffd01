package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// window is how much of one command's output is on its way: the way through the
// API server, the kubelet and the runtime is long.
const window = 2 << 20

// A supervisor is the shim of one run of a container, reached over one exec
// stream that carries all commands.
type supervisor struct {
	x      *Executor
	place  place
	ready  chan struct{} // closed when the fields below are there
	err    error
	client *shim.Client

	mu sync.Mutex
	at placement // changes when the shim is placed again

	missing atomic.Bool // the program is not where it was put
	reached atomic.Bool // a stream has stood
}

// supervisor returns that of the place, which it places at the first call. The
// error is an *errUnplaceable where commands must run in direct mode.
func (x *Executor) supervisor(ctx context.Context, p place) (*supervisor, error) {
	key := p.instance()
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil, fmt.Errorf("%w: the executor is closed", exec.ErrNotStarted)
	}
	s := x.supervisors[key]
	if s == nil {
		s = &supervisor{x: x, place: p, ready: make(chan struct{})}
		x.supervisors[key] = s
		x.work.Go(func() { s.prepare(key) })
	}
	x.mu.Unlock()
	select {
	case <-s.ready: // though ctx may have ended: what is known is to be cancelled
		return s, s.err
	default:
	}
	select {
	case <-s.ready:
		return s, s.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", exec.ErrNotStarted, context.Cause(ctx))
	}
}

// unplaceableFor is how long it is remembered that a container cannot have a
// shim: a full disk may be emptied.
const unplaceableFor = 3 * time.Minute

// prepare places the shim. A failure that may pass is not remembered, or not for
// long.
func (s *supervisor) prepare(key string) {
	defer close(s.ready)
	began := time.Now()
	for pauses := newBackOff(); ; {
		if s.err = s.put(s.x.ctx); s.err == nil {
			break
		}
		var unplaceable *errUnplaceable
		if errors.As(s.err, &unplaceable) {
			s.x.watching.Go(func() {
				ctx, cancel := context.WithTimeout(s.x.ctx, unplaceableFor)
				defer cancel()
				s.x.watcher.awaitGone(ctx, s.place)
				s.forget(key)
			})
			return
		}
		var elsewhere *errElsewhere
		if errors.As(s.err, &elsewhere) {
			s.forget(key)
			return
		}
		var f *failure
		pause := pauses.NextBackOff()
		why, gone := s.x.watcher.isGone(s.place)
		if gone {
			s.err = fmt.Errorf("%w: %s", exec.ErrLost, why)
		} else if !errors.As(s.err, &f) {
			s.err = fmt.Errorf("%w: %w", exec.ErrNotStarted, s.err)
		}
		if gone || f != nil && f.final || time.Since(began)+pause > s.x.options.Patience || s.x.ctx.Err() != nil {
			s.forget(key)
			return
		}
		select {
		case <-time.After(pause):
		case <-s.x.ctx.Done():
		}
	}
	s.client, s.err = shim.NewClient(shim.ClientConfig{
		Dial:     s.dial,
		Env:      s.placement().env,
		Build:    s.x.options.userAgent(),
		Patience: max(s.x.options.Patience, time.Second),
		Window:   window,
		Pack:     true,
		Replace:  true,
	})
	if s.err == nil {
		s.x.watching.Go(func() { s.closeWhenGone(key) })
	}
}

// put places the shim, at another time in the same run of the container alone.
func (s *supervisor) put(ctx context.Context) error {
	at, err := s.x.placeShim(ctx, s.place, s.placement().origin)
	if err == nil {
		s.mu.Lock()
		s.at = at
		s.mu.Unlock()
	}
	return err
}

func (s *supervisor) placement() placement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *supervisor) forget(key string) {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	if s.x.supervisors[key] == s {
		delete(s.x.supervisors, key)
	}
}

// closeWhenGone ends the client some time after its container, when everybody
// has been told.
func (s *supervisor) closeWhenGone(key string) {
	defer s.client.Close()
	if _, gone := s.x.watcher.awaitGone(s.x.ctx, s.place); gone {
		s.forget(key)
		select {
		case <-time.After(2 * s.x.options.Patience):
		case <-s.x.ctx.Done():
		}
	}
}

// connectArgv connects to the shim, which is started if it does not run.
func (s *supervisor) connectArgv(at placement) []string {
	if at.plain {
		return []string{at.program, "connect", "--dir", at.state, "--volatile"}
	}
	argv := append([]string{at.program, "connect", "--dir", at.state}, daemon.Start{
		Linger:        s.x.options.Linger,
		Retention:     s.x.options.Retention,
		MaxEnded:      s.x.options.MaxEnded,
		MaxEndedBytes: s.x.options.MaxEndedBytes,
		// The state is that of this run of the container, which ends with its
		// machine.
		Volatile: true,
	}.Flags()...)
	if at.origin != "" {
		argv = append(argv, "--origin="+at.origin)
	}
	return argv
}

// dial opens the exec stream. The shim is placed again if it was deleted.
func (s *supervisor) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	if why, gone := s.x.watcher.isGone(s.place); gone {
		return nil, fmt.Errorf("%w: %s", exec.ErrLost, why)
	}
	if s.missing.Load() {
		if err := s.put(ctx); err != nil {
			return nil, err
		}
		s.missing.Store(false)
	}
	at := s.placement()
	stream, stop := context.WithCancel(context.WithoutCancel(ctx))
	output := newPipe()
	fromUs, toPod := io.Pipe()
	c := &conn{supervisor: s, reader: output, writer: toPod, stop: stop}
	s.x.watching.Go(func() {
		var stderr tail
		err := s.x.streamer.stream(stream, s.place, s.connectArgv(at), fromUs, output, &stderr)
		var exit utilexec.CodeExitError
		switch {
		case err == nil:
			err = io.EOF
		case errors.As(err, &exit) && exit.Code == daemon.ExitElsewhere:
			err = &errElsewhere{s.place}
		}
		if contains(err.Error(), noProgram) {
			s.missing.Store(true)
		}
		if text := stderr.String(); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		output.end(err)
		fromUs.CloseWithError(err)
		stop()
	})
	// Not every runtime ends the streams of a container that was killed.
	s.x.watching.Go(func() {
		if _, gone := s.x.watcher.awaitGone(stream, s.place); gone {
			select {
			case <-time.After(time.Second): // for what is on its way
			case <-stream.Done():
			}
			c.Close()
		}
	})
	return c, nil
}

// A conn is an exec stream to the shim.
type conn struct {
	supervisor *supervisor
	reader     *pipe
	writer     *io.PipeWriter
	stop       context.CancelFunc
	once       sync.Once
	confirmed  error
}

// Read gives nothing before the API server has confirmed that the stream leads
// to the place: the name may mean another pod by now. The client sends no
// command before it has read the shim's greeting.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.reader.Read(b)
	if n > 0 {
		c.once.Do(func() {
			s := c.supervisor
			if c.confirmed = s.confirm(); c.confirmed == nil {
				s.x.options.Observer.ShimReached(s.reached.Swap(true))
			}
		})
		if c.confirmed != nil {
			return 0, c.confirmed
		}
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) { return c.writer.Write(b) }

// Close ends the stream. Commands do not notice.
func (c *conn) Close() error {
	c.reader.close()
	c.writer.Close()
	c.stop()
	return nil
}

func (s *supervisor) confirm() error {
	ctx, cancel := context.WithTimeout(s.x.ctx, confirmWait)
	defer cancel()
	pod, err := s.x.client.Pods(s.place.namespace).Get(quiet(ctx), s.place.pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the API server does not confirm the pod: %w", err)
	}
	if !s.place.isAt(pod) {
		return fmt.Errorf("the pod %s was replaced or its container has restarted", s.place)
	}
	return nil
}

// A tail keeps the first bytes of what is written to it, for people.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 1024 - len(t.b); room > 0 {
		t.b = append(t.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
