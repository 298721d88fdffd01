package shim

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// A peer is a client as its server sees it: one connection with its requests.
type peer struct {
	server *Server
	link   *link
	pack   bool            // the client takes lines packed
	ctx    context.Context // ends with the connection

	// Of the goroutine that receives.
	env    []string
	chunks chunks

	// packing is held from a packed packet's begin until it is sent, so that many
	// commands that print at once take the memory of one.
	packing sync.Mutex

	mu    sync.Mutex
	feeds map[uint32]*feed
	calls map[uint32]struct{}
	// open counts requests until their answer is written, which may be long after
	// their channel was free again.
	open int
}

// handle does what a packet asks for. It never waits: what takes time has a
// goroutine of its own.
func (p *peer) handle(in packet) error {
	switch in.kind {
	case kindEnviron, kindExecute:
		body, complete, err := p.chunks.add(in)
		if err != nil || !complete {
			return err
		}
		if in.kind == kindEnviron {
			return p.environ(body)
		}
		return p.execute(in.channel, body)
	case kindCredit:
		if len(in.payload) != 4 {
			return protocolErrorf("a malformed credit")
		}
		if f := p.feed(in.channel); f != nil {
			return f.grant(binary.LittleEndian.Uint32(in.payload))
		}
		return nil // it has ended meanwhile
	case kindEnd:
		if f := p.feed(in.channel); f != nil {
			f.end()
		}
		return nil
	case kindDetach:
		delete(p.chunks, in.channel)
		if f := p.feed(in.channel); f != nil {
			f.detach()
		}
		return nil
	case kindCancel, kindKill, kindForget, kindStatus, kindDrain:
		return p.call(in.channel, in.kind, string(in.payload))
	}
	return protocolErrorf("a packet of kind %d", in.kind)
}

func (p *peer) environ(body []byte) error {
	d := decoder{rest: body}
	env := d.texts()
	if d.bad || len(d.rest) > 0 {
		return protocolErrorf("a malformed environment")
	}
	p.env = env
	return nil
}

func (p *peer) feed(channel uint32) *feed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.feeds[channel]
}

// claim makes the channel the request's. It is free again after release, and the
// request is over after done.
func (p *peer) claim(channel uint32, f *feed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, called := p.calls[channel]
	if p.feeds[channel] != nil || called {
		return protocolErrorf("channel %d is taken", channel)
	}
	if len(p.feeds)+len(p.calls) >= maxChannels {
		return protocolErrorf("more than %d requests at once", maxChannels)
	}
	if p.open >= maxAnswers {
		return protocolErrorf("more than %d answers that were not taken", maxAnswers)
	}
	p.open++
	if f != nil {
		p.feeds[channel] = f
	} else {
		p.calls[channel] = struct{}{}
	}
	return nil
}

func (p *peer) release(channel uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.feeds, channel)
	delete(p.calls, channel)
}

func (p *peer) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

func (p *peer) execute(channel uint32, body []byte) error {
	request, err := decodeExecute(body)
	if err != nil {
		return err
	}
	f := newFeed(p, channel, request.window)
	if err := p.claim(channel, f); err != nil {
		return err
	}
	env := p.env
	p.link.work.Go(func() {
		defer p.done()
		f.run(request, env)
	})
	return nil
}

// call answers a request that has one answer.
func (p *peer) call(channel uint32, kind packetKind, argument string) error {
	if err := p.claim(channel, nil); err != nil {
		return err
	}
	p.link.work.Go(func() {
		defer p.done()
		answer, err := p.answer(kind, argument)
		p.release(channel) // before the client may use it again
		if err != nil {
			_ = p.link.send(kindFailure, channel, encodeFailure(err))
		} else {
			_ = p.link.send(kindDone, channel, answer)
		}
	})
	return nil
}

// drainStop is the argument of kindDrain that also ends what runs.
const drainStop = "stop"

func (p *peer) answer(kind packetKind, argument string) ([]byte, error) {
	s := p.server
	switch kind {
	case kindCancel:
		return nil, s.engine.Cancel(p.ctx, argument)
	case kindKill:
		return nil, s.engine.Kill(p.ctx, argument)
	case kindForget:
		return nil, s.engine.Forget(argument)
	case kindDrain:
		if s.options.Stop == nil {
			return nil, fmt.Errorf("exec/shim: stop: %w", errors.ErrUnsupported)
		}
		s.engine.Drain()
		if argument == drainStop {
			// With its grace also if the client does not stay to see it.
			if err := s.engine.Close(context.WithoutCancel(p.ctx)); err != nil {
				return nil, err
			}
		}
		p.link.work.Go(s.options.Stop)
		return nil, nil
	}
	status := Status{Build: s.options.Build, Instance: s.engine.instance, PID: os.Getpid()}
	status.Running, status.Ended = s.engine.Count()
	status.Connections, _ = s.Connections()
	return json.Marshal(status)
}

// Status is what a shim says of itself.
type Status struct {
	Build       string `json:"build,omitempty"`
	Instance    string `json:"instance"`
	PID         int    `json:"pid"`
	Running     int    `json:"running"`
	Ended       int    `json:"ended"` // and remembered
	Connections int    `json:"connections"`
}
