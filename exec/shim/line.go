package shim

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// A line is a connection as its client sees it: a link with its channels.
type line struct {
	*link
	server helloAbout
	budget int         // bytes that a channel may hold
	unhook func() bool // lets the line outlive the client
	useful bool

	mu       sync.Mutex
	last     uint32
	channels map[uint32]*channel
}

// A channel is one request on a line: what came for it and was not taken yet.
type channel struct {
	id    uint32
	ready chan struct{} // has a token when something came

	mu     sync.Mutex
	queue  []packet
	queued int // bytes
}

// dial opens a connection and agrees on a version.
func (c *Client) dial() (*line, error) {
	conn, err := c.config.Dial(c.ctx)
	if err != nil {
		return nil, err
	}
	l := &line{
		link:     newLink(conn, allocate),
		budget:   c.config.Window + 2*packetMax,
		channels: make(map[uint32]*channel),
	}
	timer := time.AfterFunc(helloWait, func() { l.fail(errSilent) })
	l.unhook = context.AfterFunc(c.ctx, func() { l.fail(ErrClosed) })
	l.server, err = c.greet(l.link)
	if !timer.Stop() && err == nil {
		err = errSilent
	}
	if err != nil {
		l.unhook()
		l.fail(err)
		return nil, l.err
	}
	return l, nil
}

func (c *Client) greet(l *link) (helloAbout, error) {
	mine := hello{
		lowest:  lowestVersion,
		highest: highestVersion,
		about:   helloAbout{Build: c.config.Build, Drain: c.config.Replace, Pack: c.config.Pack},
	}
	if err := l.send(kindHello, 0, mine.encode()); err != nil {
		return helloAbout{}, err
	}
	p, err := l.next()
	if err != nil {
		return helloAbout{}, fmt.Errorf("hello: %w", err)
	}
	if p.kind != kindHello && p.kind != kindRefuse {
		return helloAbout{}, protocolErrorf("a packet of kind %d before the hello", p.kind)
	}
	theirs, err := decodeHello(p.payload)
	if err != nil {
		return helloAbout{}, err
	}
	if p.kind == kindRefuse || theirs.lowest != theirs.highest || theirs.lowest < lowestVersion || theirs.highest > highestVersion || theirs.about.Instance == "" {
		return helloAbout{}, fmt.Errorf("%w: it speaks versions %d to %d (build %q), this program %d to %d",
			ErrIncompatible, theirs.lowest, theirs.highest, theirs.about.Build, lowestVersion, highestVersion)
	}
	if c.config.Env != nil {
		var e encoder
		e.texts(c.config.Env)
		if err := l.sendLong(kindEnviron, 0, e, func() {}); err != nil {
			return helloAbout{}, err
		}
	}
	return theirs.about, nil
}

// handle puts a packet where its channel's goroutine finds it.
func (l *line) handle(p packet) error {
	switch p.kind {
	case kindAccepted, kindLines, kindPacked, kindResult, kindFailure, kindDone:
	default:
		return protocolErrorf("a packet of kind %d", p.kind)
	}
	l.mu.Lock()
	l.useful = true
	ch := l.channels[p.channel]
	last := l.last
	l.mu.Unlock()
	if ch == nil {
		if p.channel == 0 || p.channel > last {
			return protocolErrorf("an answer on channel %d, which was never used", p.channel)
		}
		return nil // nobody waits any more
	}
	ch.mu.Lock()
	ch.queue = append(ch.queue, p)
	ch.queued += len(p.payload)
	over := ch.queued > l.budget
	ch.mu.Unlock()
	if over {
		return protocolErrorf("more lines than there was credit for")
	}
	select {
	case ch.ready <- struct{}{}:
	default:
	}
	return nil
}

// open begins a request. Numbers of channels are not used again.
func (l *line) open() (*channel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == 1<<32-1 {
		l.fail(io.EOF) // begin again with another
	}
	if l.isGone() {
		return nil, l.err
	}
	l.last++
	ch := &channel{id: l.last, ready: make(chan struct{}, 1)}
	l.channels[ch.id] = ch
	return ch, nil
}

func (l *line) close(ch *channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.channels, ch.id)
}

func (l *line) wasUseful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.useful
}

// take returns the next packet, if there is one.
func (c *channel) take() (packet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return packet{}, false
	}
	p := c.queue[0]
	c.queue[0] = packet{}
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.queued -= len(p.payload)
	return p, true
}

func (c *channel) isEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) == 0
}
