package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/internal/pack"
)

// feedBatch is about how many bytes of lines go into one packet.
const feedBatch = 128 << 10

// maxBarren is for how many packets at most packing is not tried, behind as many
// tries that made nothing smaller.
const maxBarren = 15

// acceptPause is how long the word that a request was accepted waits for what the
// command prints first: on its way to the client, one message costs what ten do.
const acceptPause = 2 * time.Millisecond

// A feed is one client that follows one command: Execute as its server sees it.
type feed struct {
	peer    *peer
	channel uint32

	endOnce    sync.Once
	ended      chan struct{} // the client wants the command to end
	detachOnce sync.Once
	detached   chan struct{} // the client wants no more of it

	// Of the goroutine that sends lines.
	barren   int // tries in a row in which packing did not make a packet smaller
	unpacked int // so many packets are sent without a try

	mu     sync.Mutex
	credit int64         // bytes that the client takes
	more   chan struct{} // has a token when credit came
}

func newFeed(p *peer, channel, window uint32) *feed {
	return &feed{
		peer:     p,
		channel:  channel,
		ended:    make(chan struct{}),
		detached: make(chan struct{}),
		credit:   int64(window),
		more:     make(chan struct{}, 1),
	}
}

func (f *feed) end()    { f.endOnce.Do(func() { close(f.ended) }) }
func (f *feed) detach() { f.detachOnce.Do(func() { close(f.detached) }) }

func (f *feed) grant(n uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.credit += int64(n); f.credit > maxWindow {
		return protocolErrorf("too much credit")
	}
	select {
	case f.more <- struct{}{}:
	default:
	}
	return nil
}

// spend takes n bytes off the credit. The last packet may be more than is left.
func (f *feed) spend(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.credit -= int64(n)
}

func (f *feed) hasCredit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.credit > 0
}

// run executes the request and tells the client how that ended.
func (f *feed) run(request executeRequest, env []string) {
	f.peer.server.countFeed(1)
	defer f.peer.server.countFeed(-1)
	c, err := f.attach(request, env)
	if err != nil {
		f.peer.release(f.channel)
		f.tell(kindFailure, encodeFailure(err))
		return
	}
	f.say(f.peer.link.hold, kindAccepted, nil)
	o, told := f.follow(c, request.cmd.After)
	// Before the client is told: it may forget the command then.
	f.peer.server.engine.detach(c)
	f.peer.release(f.channel)
	switch {
	case !told:
	case o.err != nil:
		f.tell(kindFailure, encodeFailure(o.err))
	default:
		f.tell(kindResult, encodeResult(o.result))
	}
}

func (f *feed) tell(kind packetKind, payload []byte) { f.say(f.peer.link.send, kind, payload) }

func (f *feed) say(send func(packetKind, uint32, ...[]byte) error, kind packetKind, payload []byte) {
	select {
	case <-f.detached:
	default:
		_ = send(kind, f.channel, payload)
	}
}

// attach returns the command of a request, as Engine.Execute does.
func (f *feed) attach(request executeRequest, env []string) (*command, error) {
	e, cmd := f.peer.server.engine, request.cmd
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	if err := e.checkInstance(cmd); err != nil {
		return nil, err
	}
	cmd = cmd.WithDefaults()
	if request.noStart {
		c, err := e.find(cmd, cmd.Digest())
		if c == nil && err == nil {
			err = fmt.Errorf("exec/shim: execute %s: %w", cmd.ID, errUnknownCommand)
		}
		return c, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	select {
	case <-f.ended:
		cancel() // what is not known is not started any more
	default:
	}
	return e.attach(ctx, request.workspace, cmd, env)
}

// follow sends the lines after the given one until the command has ended and
// returns its outcome. It returns false when there is nobody to be told.
func (f *feed) follow(c *command, after uint64) (outcome, bool) {
	cur := &cursor{log: c.log, next: after + 1, buffers: c.engine.segmentBuffers}
	defer cur.close()
	ended := f.ended
	accepted := time.NewTimer(acceptPause)
	defer accepted.Stop()
	for {
		// The order matters: what is done has no lines that come later.
		done := c.isDone()
		wake, last := c.log.changed()
		var frames []byte
		var err error
		isOpen := f.hasCredit()
		if isOpen {
			frames, err = cur.frames(feedBatch)
			if err == nil && frames == nil && done && cur.next <= last {
				err = fmt.Errorf("exec/shim: read log %s at line %d: %w", c.folder, cur.next, fs.ErrNotExist)
			}
		} else {
			cur.park()
			wake = nil
			if cur.next <= last {
				done = false
			}
		}
		var pause <-chan time.Time
		switch {
		case isShortage(err):
			wake, pause = nil, time.After(shortagePause)
		case err != nil:
			// A part of the output is gone, which no Result could say.
			c.cancel()
			<-c.done
			return outcome{err: fmt.Errorf("%w: %w", exec.ErrLost, err)}, true
		case frames != nil:
			f.spend(len(frames))
			if f.sendLines(frames) != nil {
				return outcome{}, false
			}
			select {
			case <-f.detached:
				return outcome{}, false
			case <-ended:
				c.cancel()
				ended = nil
			default:
			}
			continue
		case done:
			c.told.Store(true)
			return c.outcome, true
		}
		var over <-chan struct{}
		if isOpen && pause == nil {
			over = c.done
		}
		select {
		case <-wake:
		case <-over:
		case <-f.more:
		case <-pause:
		case <-accepted.C:
			_ = f.peer.link.flush()
		case <-ended:
			c.cancel()
			ended = nil
		case <-f.detached:
			return outcome{}, false
		case <-f.peer.link.gone:
			return outcome{}, false
		}
	}
}

// sendLines sends frames, packed if the client takes them so and it pays.
func (f *feed) sendLines(frames []byte) error {
	if !f.peer.pack {
		return f.peer.link.send(kindLines, f.channel, frames)
	}
	if f.unpacked > 0 {
		f.unpacked--
		return f.peer.link.send(kindLines, f.channel, frames)
	}
	f.peer.packing.Lock()
	defer f.peer.packing.Unlock()
	buf := f.peer.server.engine.packBuffers.get()
	defer f.peer.server.engine.packBuffers.put(buf)
	packed, ok := pack.Append(buf[:0], frames)
	if !ok {
		if len(frames) >= feedBatch/4 { // a few short lines say nothing of what follows
			f.barren = min(f.barren+1, maxBarren)
			f.unpacked = f.barren
		}
		return f.peer.link.send(kindLines, f.channel, frames)
	}
	f.barren = 0
	return f.peer.link.send(kindPacked, f.channel, packed)
}

// isClosing reports an error that says that another engine may do better.
func isClosing(err error) bool {
	return errors.Is(err, ErrClosed) && errors.Is(err, exec.ErrNotStarted)
}

// packBuffer has room for what feedBatch bytes of frames, or one large frame, may
// become.
type packBuffer [maxPayload + maxPayload/6 + 32]byte
