// Package faultproxy is a TCP proxy for tests that cuts, stalls and slows the
// connections through it, as networks do.
package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Fault is what happens to one connection, on the way from the target to the
// client. The zero value is none.
type Fault struct {
	// CutAfter is after how many bytes the connection is cut, with a reset,
	// as a machine that was switched off does. Zero is never.
	CutAfter int64
	// StallAfter is after how many bytes nothing is let through any more,
	// while the connection stays. Zero is never.
	StallAfter int64
	// Rate is how many bytes are let through per second. Zero is all.
	Rate int64
	// Refuse closes the connection at once.
	Refuse bool
}

// A Proxy forwards connections to a target. All methods are safe for
// concurrent use.
type Proxy struct {
	target   string
	plan     func(n int) Fault
	listener net.Listener
	cuts     atomic.Int64

	dropAnswers atomic.Bool

	mu     sync.Mutex
	thawed chan struct{} // closed while bytes may pass
	count  int
	links  map[*link]struct{}
	closed bool
	work   sync.WaitGroup
}

// New starts a Proxy on a loopback address that ends with the test. plan says
// what happens to the n-th connection, from 0; nil is nothing to all.
func New(t testing.TB, target string, plan func(n int) Fault) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	if plan == nil {
		plan = func(int) Fault { return Fault{} }
	}
	p := &Proxy{target: target, plan: plan, listener: listener, links: make(map[*link]struct{}), thawed: make(chan struct{})}
	close(p.thawed)
	p.work.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Addr is where the Proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cuts returns how many connections were cut.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// CutAll cuts the connections that are open.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.cuts.Add(1)
		l.cut()
	}
}

// Freeze lets nothing through any more, in either direction, on the
// connections that are open and on new ones, which stay open: as a firewall
// does that has forgotten them.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thawed = make(chan struct{})
}

// Thaw ends Freeze; what was held up goes on its way.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// DropAnswers has, while it is on, each connection cut when the target answers
// on it: what was asked for has been done then, and the client does not know.
func (p *Proxy) DropAnswers(on bool) { p.dropAnswers.Store(on) }

// wait blocks while the Proxy is frozen, until l is gone.
func (p *Proxy) wait(l *link) {
	p.mu.Lock()
	thawed := p.thawed
	p.mu.Unlock()
	select {
	case <-thawed:
	case <-l.gone:
	}
}

// A gate is a connection that nothing is written to while the Proxy is frozen.
type gate struct {
	p    *Proxy
	l    *link
	conn net.Conn
}

func (g gate) Write(b []byte) (int, error) {
	g.p.wait(g.l)
	return g.conn.Write(b)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.cut()
	}
	p.mu.Unlock()
	_ = p.listener.Close()
	p.work.Wait()
}

func (p *Proxy) accept() {
	defer p.work.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		fault := p.plan(p.count)
		p.count++
		p.mu.Unlock()
		if fault.Refuse {
			_ = client.Close()
			continue
		}
		p.work.Add(1)
		go p.forward(client, fault)
	}
}

func (p *Proxy) forward(client net.Conn, fault Fault) {
	defer p.work.Done()
	target, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client.(*net.TCPConn), target: target.(*net.TCPConn), gone: make(chan struct{})}
	if !p.enter(l) {
		l.cut()
		return
	}
	defer p.leave(l)
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(gate{p, l, l.target}, l.client)
		_ = l.target.CloseWrite()
	}()
	if errors.Is(p.down(l, fault), errCut) {
		p.cuts.Add(1)
		l.cut()
	} else {
		_ = l.client.CloseWrite()
	}
	<-up
	l.cut()
}

func (p *Proxy) enter(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// A link is one connection through the Proxy.
type link struct {
	client, target *net.TCPConn
	once           sync.Once
	gone           chan struct{}
}

// cut ends both sides with a reset. Cutting again does nothing.
func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		for _, conn := range []*net.TCPConn{l.client, l.target} {
			_ = conn.SetLinger(0)
			_ = conn.Close()
		}
	})
}

var errCut = errors.New("faultproxy: cut")

// down copies from the target to the client as the fault has it.
func (p *Proxy) down(l *link, fault Fault) error {
	client := gate{p, l, l.client}
	buf := make([]byte, 16<<10)
	var sent int64
	for {
		size := int64(len(buf))
		if fault.Rate > 0 {
			size = min(size, max(fault.Rate/20, 1))
		}
		if fault.StallAfter > 0 {
			if sent >= fault.StallAfter {
				<-l.gone
				return nil
			}
			size = min(size, fault.StallAfter-sent)
		}
		n, err := l.target.Read(buf[:size])
		if fault.CutAfter > 0 && sent+int64(n) >= fault.CutAfter {
			_, _ = l.client.Write(buf[:fault.CutAfter-sent])
			return errCut
		}
		if n > 0 && p.dropAnswers.Load() {
			return errCut
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return err
		}
		sent += int64(n)
		if err != nil {
			return err
		}
		if fault.Rate > 0 {
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(fault.Rate)):
			case <-l.gone:
				return nil
			}
		}
	}
}
