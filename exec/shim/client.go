package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
)

// ErrIncompatible: the server speaks no version of the protocol that this
// client does.
var ErrIncompatible = errors.New("incompatible shim")

// ClientConfig of a Client.
type ClientConfig struct {
	// Dial opens a connection to a Server. It is called again whenever the
	// last one broke and there is something to do. Close of what it returns
	// must end a Read and a Write in progress. An error that wraps
	// exec.ErrTargetNotFound or exec.ErrLost says that there will never be
	// one, and exec.ErrTargetNotReady that it is of no use for new commands to
	// wait; after any other it is tried again. Required.
	Dial func(ctx context.Context) (io.ReadWriteCloser, error)
	// Env is the environment ("K=V") of the commands that this client starts.
	// Defaults to that of the server's engine.
	Env []string
	// Build says which program this is, for people.
	Build string
	// Heartbeat is how often the client says that it is there, and a third of
	// the time after which a silent server counts as gone. Defaults to 10 s.
	Heartbeat time.Duration
	// Patience is how long to try for a connection in vain: before a command
	// that was not started yet is exec.ErrNotStarted, and after the end of
	// Execute's context before a command that was started is
	// exec.ErrOutcomeUnknown. Defaults to 30 s.
	Patience time.Duration
	// Window is how many bytes of lines of one command are on their way to a
	// sink at once. Defaults to 512 KiB.
	Window int
	// Pack asks for lines that are packed where that makes them smaller: over
	// anything but a socket of this machine, a byte less is worth the work.
	Pack bool
	// Replace makes a server that speaks no version of this client's end when
	// the last of its commands has, so that Dial can start another.
	Replace bool
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Heartbeat <= 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.Patience <= 0 {
		c.Patience = 30 * time.Second
	}
	if c.Window <= 0 {
		c.Window = 512 << 10
	}
	c.Window = min(max(c.Window, 4<<10), maxWindow/2)
	return c
}

// A Client runs commands on an engine behind a Server. One connection carries
// all of them; it is made when it is needed, and made anew when it breaks,
// which commands and sinks do not notice. All methods are safe for concurrent
// use.
type Client struct {
	config ClientConfig
	slots  chan struct{} // Execute calls that have a channel
	calls  chan struct{} // others
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
	wanted chan struct{} // has a token when somebody waits for a connection

	mu       sync.Mutex
	waiting  int
	line     *line         // the connection, or nil
	last     string        // Engine.Incarnation at the end of the last one
	failure  error         // of the last attempt to get one
	failures int           // attempts
	changed  chan struct{} // closed when line or failure change
}

// NewClient returns a Client, which the caller must Close. It does not dial yet.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Dial == nil {
		return nil, errors.New("exec/shim: client config: Dial is required")
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		config:  config.withDefaults(),
		slots:   make(chan struct{}, maxChannels-64),
		calls:   make(chan struct{}, 64),
		ctx:     ctx,
		stop:    stop,
		wanted:  make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	c.work.Go(c.keepConnected)
	return c, nil
}

// Close ends the connection and returns when all of the client's goroutines
// have. Commands are left running: calls of Execute return an error that wraps
// ErrClosed, and exec.ErrDetached or exec.ErrNotStarted.
func (c *Client) Close() {
	c.stop()
	c.work.Wait()
}

// Incarnation returns Engine.Incarnation of the engine that is there now.
func (c *Client) Incarnation(ctx context.Context) (string, error) {
	l, err := c.connected(ctx, time.Now().Add(c.config.Patience), true)
	if err != nil {
		return "", fmt.Errorf("exec/shim: incarnation: %w", err)
	}
	return l.server.incarnation(), nil
}

// LastIncarnation is Incarnation as the last connection told it, or "" before
// there was one. It never waits.
func (c *Client) LastIncarnation() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Cancel is Engine.Cancel over the connection, and tries until ctx ends: only
// if there was no connection for Patience it returns why.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.end(ctx, kindCancel, id)
}

// Kill is Engine.Kill over the connection, likewise.
func (c *Client) Kill(ctx context.Context, id string) error {
	return c.end(ctx, kindKill, id)
}

func (c *Client) end(ctx context.Context, how packetKind, id string) error {
	if !exec.ValidID(id) {
		return nil // the target cannot know it
	}
	_, err := c.call(ctx, how, id)
	if err != nil && !isRemote(err) {
		err = fmt.Errorf("exec/shim: cancel %s: its end was not seen: %w", id, err)
	}
	return err
}

// Forget is Engine.Forget over the connection.
func (c *Client) Forget(ctx context.Context, id string) error {
	_, err := c.call(ctx, kindForget, id)
	return err
}

// Status asks the server how it is. It is also the way to see whether it is
// there.
func (c *Client) Status(ctx context.Context) (Status, error) {
	answer, err := c.call(ctx, kindStatus, "")
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(answer, &s); err != nil {
		return Status{}, fmt.Errorf("exec/shim: status: %w", err)
	}
	return s, nil
}

// Drain makes the server start no more commands and end after the last one of
// those that run. Commands that are refused because of that wait, within
// Patience, for Dial to reach another server.
func (c *Client) Drain(ctx context.Context) error {
	_, err := c.call(ctx, kindDrain, "")
	return err
}

// Stop cancels all commands, waits for their end and ends the server. If ctx
// ends first, that goes on without a witness. Calls of Execute get their
// results before, unless their sinks take longer than a few seconds.
func (c *Client) Stop(ctx context.Context) error {
	if _, err := c.call(ctx, kindDrain, drainStop); err != nil {
		return err
	}
	for deadline := time.Now().Add(stopWait); len(c.slots) > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// stopWait is how long the outcomes of commands that were stopped have to reach
// those who follow them.
const stopWait = 5 * time.Second

// call makes a request that has one answer, again after each connection that
// broke: all of them are idempotent.
func (c *Client) call(ctx context.Context, kind packetKind, argument string) ([]byte, error) {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		l, err := c.connected(ctx, time.Now().Add(c.config.Patience), false)
		if err != nil {
			return nil, err
		}
		answer, err := c.callOn(ctx, l, kind, argument)
		if !errors.Is(err, errBroken) {
			return answer, err
		}
	}
}

// errBroken: the connection broke before there was an answer.
var errBroken = errors.New("connection broke")

func (c *Client) callOn(ctx context.Context, l *line, kind packetKind, argument string) ([]byte, error) {
	ch, err := l.open()
	if err != nil {
		return nil, errBroken
	}
	defer l.close(ch)
	if err := l.send(kind, ch.id, []byte(argument)); err != nil {
		return nil, errBroken
	}
	for {
		if p, ok := ch.take(); ok {
			switch p.kind {
			case kindDone:
				return p.payload, nil
			case kindFailure:
				told, err := decodeFailure(p.payload)
				if err != nil {
					l.fail(err)
					return nil, errBroken
				}
				return nil, told
			}
			l.fail(protocolErrorf("an answer of kind %d", p.kind))
			return nil, errBroken
		}
		select {
		case <-ch.ready:
		case <-l.gone:
			if ch.isEmpty() {
				return nil, errBroken
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func isRemote(err error) bool {
	var remote *remoteError
	return errors.As(err, &remote)
}
