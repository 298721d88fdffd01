package shim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/pack"
)

// redeliverFor is how long a request that was sent, and of which nothing was
// heard, is sent again as it is. After that the command may have run, ended
// and been forgotten: it is only looked for.
const redeliverFor = time.Minute

// Execute is Engine.Execute over the connection, with the same semantics as
// long as the server can be reached at all; where it cannot:
//
//   - Before the request was sent, it is exec.ErrNotStarted after Patience
//     without a connection, or what Dial said (exec.ErrTargetNotFound, …). The
//     ID may be taken by an earlier call, which is why it can be tried again.
//   - After that it goes on trying until ctx ends, and then for Patience:
//     exec.ErrOutcomeUnknown. If Dial or the server says that the target is
//     gone, or another one, it is exec.ErrLost.
//   - exec.ErrDetached leaves the command running, and returns at once.
//   - A command with Resume is followed, or started if its Target.Instance is
//     the engine's Incarnation and it never had it. Where it is not known, it is
//     exec.ErrOutcomeUnknown.
//
// Whatever is tried again, the command is started once: the engine knows it by
// its ID, and the request names the incarnation of the state folder that it
// was sent to first.
func (c *Client) Execute(ctx context.Context, workspace string, cmd exec.Command, sink func([]exec.Line) error) (exec.Result, error) {
	if err := cmd.Validate(); err != nil {
		return exec.Result{}, err
	}
	if n := len(cmd.Target.Name) + len(cmd.Target.Instance) + len(workspace); n > exec.MaxDirLength {
		return exec.Result{}, &exec.FieldError{Field: "target", Problem: "is too long"}
	}
	x := &execution{client: c, workspace: workspace, cmd: cmd, sink: sink, next: cmd.After + 1}
	select {
	case c.slots <- struct{}{}: // though ctx may have ended: what is known is to be cancelled
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return exec.Result{}, x.notStarted(context.Cause(ctx))
		}
	}
	defer func() { <-c.slots }()
	result, err := x.run(ctx)
	if err == nil && x.sinkErr != nil {
		err = x.sinkErr
	}
	if err != nil {
		result = exec.Result{}
	}
	return result, err
}

// An execution is one call of Client.Execute.
type execution struct {
	client    *Client
	workspace string
	cmd       exec.Command
	sink      func([]exec.Line) error

	next     uint64      // Seq of the next line for sink
	batch    []exec.Line // lines for sink
	plain    []byte      // what lines that came packed are a part of
	consumed uint32      // bytes for which no credit was given yet

	sent     time.Time // when a request may have reached the engine first
	accepted bool      // the engine knows the command
	ending   time.Time // since when the command is to end
	cause    error     // why
	sinkErr  error
}

func (x *execution) notStarted(err error) error {
	return fmt.Errorf("exec/shim: execute %s: %w: %w", x.cmd.ID, exec.ErrNotStarted, err)
}

// end notes that the command is to be cancelled.
func (x *execution) end(cause error) {
	if x.ending.IsZero() {
		x.ending, x.cause = time.Now(), cause
	}
}

func (x *execution) run(ctx context.Context) (exec.Result, error) {
	hurry := time.Now().Add(x.client.config.Patience)
	for pause := firstPause; ; {
		l, err := x.connect(ctx, hurry)
		if err != nil {
			return exec.Result{}, err
		}
		if l == nil {
			continue // ctx has ended
		}
		result, err := x.on(ctx, l)
		switch {
		case errors.Is(err, errBroken):
		case isClosing(err) && !x.accepted && x.ending.IsZero() && time.Now().Before(hurry):
			// Another server takes its place when this one is gone.
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			pause = min(2*pause, time.Second)
		default:
			return result, err
		}
	}
}

// connect returns the connection, or the error to give up with, or neither
// when ctx has ended.
func (x *execution) connect(ctx context.Context, hurry time.Time) (*line, error) {
	isNew := x.sent.IsZero()
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, exec.ErrDetached) && x.ending.IsZero() {
			if isNew {
				return nil, x.notStarted(cause)
			}
			return nil, exec.ErrDetached
		}
		x.end(cause)
	}
	deadline := hurry
	switch {
	case !x.ending.IsZero():
		ctx, deadline = context.Background(), x.ending.Add(x.client.config.Patience)
	case !isNew:
		deadline = time.Time{}
	}
	l, err := x.client.connected(ctx, deadline, isNew)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, ErrClosed):
		if !isNew {
			err = fmt.Errorf("%w: %w", exec.ErrDetached, err)
			return nil, fmt.Errorf("exec/shim: execute %s: %w", x.cmd.ID, err)
		}
		return nil, x.notStarted(err)
	case ctx.Err() != nil:
		return nil, nil
	case isFinal(err, isNew) && isNew:
		return nil, fmt.Errorf("exec/shim: execute %s: %w", x.cmd.ID, err)
	case isFinal(err, isNew):
		return nil, fmt.Errorf("exec/shim: execute %s: %w: %v", x.cmd.ID, exec.ErrLost, err)
	case isNew && x.cause != nil:
		return nil, x.notStarted(fmt.Errorf("%w: %w", x.cause, err))
	case isNew:
		return nil, x.notStarted(err)
	}
	return nil, fmt.Errorf("exec/shim: execute %s: %w: %v", x.cmd.ID, exec.ErrOutcomeUnknown, err)
}

// on executes the command over one connection. errBroken says that it may go
// on over another.
func (x *execution) on(ctx context.Context, l *line) (result exec.Result, err error) {
	ch, err := l.open()
	if err != nil {
		return exec.Result{}, errBroken
	}
	over := false // the server has said its last word on the channel
	defer func() {
		if !over && !l.isGone() { // detached, or sink has panicked
			// Not to be waited for: the connection may be stalled. It ends then,
			// and this with it.
			go func() { _ = l.send(kindDetach, ch.id) }()
		}
		l.close(ch)
	}()
	if err := x.request(l, ch); err != nil {
		return exec.Result{}, errBroken
	}
	ended := ctx.Done()
	if !x.ending.IsZero() {
		ended = nil
		if l.send(kindEnd, ch.id) != nil {
			return exec.Result{}, errBroken
		}
	}
	for {
		select {
		case <-ended:
			if errors.Is(context.Cause(ctx), exec.ErrDetached) {
				return exec.Result{}, exec.ErrDetached
			}
			ended = nil
			x.end(context.Cause(ctx))
			_ = l.send(kindEnd, ch.id)
		default:
		}
		if p, ok := ch.take(); ok {
			over, result, err = x.take(l, ch, p)
			recycle(p.payload)
			if over || err != nil {
				return result, err
			}
			continue
		}
		select {
		case <-ch.ready:
		case <-l.gone:
			if ch.isEmpty() {
				return exec.Result{}, errBroken
			}
		case <-ended:
		}
	}
}

// request sends the request. Another one than the first must not run the
// command in another place.
func (x *execution) request(l *line, ch *channel) error {
	r := executeRequest{workspace: x.workspace, cmd: x.cmd, window: uint32(x.client.config.Window)}
	r.cmd.After = x.next - 1
	r.noStart = x.accepted ||
		x.sent.IsZero() && !x.ending.IsZero() ||
		!x.sent.IsZero() && time.Since(x.sent) > redeliverFor ||
		x.cmd.Resume && !l.server.isAt(x.cmd.Target.Instance)
	r.cmd.Resume = x.cmd.Resume && !r.noStart
	x.consumed = 0
	if r.cmd.Target.Instance == "" {
		r.cmd.Target.Instance = l.server.Instance
	}
	return l.sendLong(kindExecute, ch.id, r.encode(), func() {
		if x.sent.IsZero() && !r.noStart {
			x.sent = time.Now()
			x.cmd.Target.Instance = r.cmd.Target.Instance
		}
	})
}

// take does what a packet says. over is true with the last one.
func (x *execution) take(l *line, ch *channel, p packet) (over bool, result exec.Result, err error) {
	switch p.kind {
	case kindAccepted:
		x.accepted = true
		if x.sent.IsZero() { // the command was known from an earlier call
			x.sent, x.cmd.Target.Instance = time.Now(), l.server.Instance
		}
		return false, exec.Result{}, nil
	case kindLines:
		err := x.give(l, ch, p.payload)
		if errors.Is(err, errProtocol) || errors.Is(err, errFrameCorrupt) || errors.Is(err, errFrameShort) {
			l.fail(err)
			err = errBroken
		}
		return false, exec.Result{}, err
	case kindPacked:
		var err error
		if x.plain, err = pack.Unpack(x.plain, p.payload, maxPayload); err != nil {
			l.fail(protocolErrorf("packed lines: %v", err))
			return false, exec.Result{}, errBroken
		}
		return x.take(l, ch, packet{kind: kindLines, channel: p.channel, payload: x.plain})
	case kindResult:
		result, err := decodeResult(p.payload)
		if err == nil && result.Lines >= x.next && x.sinkErr == nil {
			err = protocolErrorf("a result after line %d that counts %d", x.next-1, result.Lines)
		}
		if err != nil {
			l.fail(err)
			return false, exec.Result{}, errBroken
		}
		return true, result, nil
	case kindFailure:
		told, err := decodeFailure(p.payload)
		if err != nil {
			l.fail(err)
			return false, exec.Result{}, errBroken
		}
		return true, exec.Result{}, x.failed(told)
	}
	l.fail(protocolErrorf("an answer of kind %d", p.kind))
	return false, exec.Result{}, errBroken
}

// failed says what the server's error means to the caller.
func (x *execution) failed(told error) error {
	switch {
	case !errors.Is(told, errUnknownCommand):
		return told
	case x.accepted:
		return fmt.Errorf("exec/shim: execute %s: %w: it is not remembered any more", x.cmd.ID, exec.ErrLost)
	case !x.sent.IsZero():
		return fmt.Errorf("exec/shim: execute %s: %w: it is not known any more, if it ever was", x.cmd.ID, exec.ErrOutcomeUnknown)
	case x.cmd.Resume:
		return unknownError(x.cmd.ID)
	}
	return x.notStarted(x.cause)
}

// give decodes frames, gives their lines to sink and returns credit for them.
// The error is sink's if the command is to be left, or says what is wrong.
func (x *execution) give(l *line, ch *channel, frames []byte) (err error) {
	defer func() {
		if err != nil { // what sink was not given comes again
			x.next -= uint64(len(x.batch))
			x.batch = x.batch[:0]
		}
	}()
	size := len(frames)
	for len(frames) > 0 {
		f, n, err := decodeFrame(frames)
		if err != nil {
			return err
		}
		if f.next > x.next {
			return protocolErrorf("line %d after line %d", f.next, x.next-1)
		}
		frames = frames[n:]
		for f.left > 0 {
			known := len(x.batch)
			x.batch, err = f.appendLines(x.batch, x.next, batchLines)
			x.next += uint64(len(x.batch) - known)
			if err == nil && len(x.batch) == batchLines {
				err = x.flush(l, ch)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := x.flush(l, ch); err != nil {
		return err
	}
	x.consumed += uint32(size)
	if x.consumed >= uint32(x.client.config.Window/4) {
		_ = l.send(kindCredit, ch.id, binary.LittleEndian.AppendUint32(nil, x.consumed))
		x.consumed = 0
	}
	return nil
}

// flush gives the batch to sink. After an error of sink, the command is to end
// and what it still says is thrown away.
func (x *execution) flush(l *line, ch *channel) error {
	if len(x.batch) == 0 {
		return nil
	}
	lines := x.batch
	x.batch = x.batch[:0]
	if x.sinkErr != nil {
		return nil
	}
	err := x.sink(lines)
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrDetached) {
		return err
	}
	x.sinkErr = err
	x.end(err)
	_ = l.send(kindEnd, ch.id)
	return nil
}
