package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// maxChannels is how many requests one connection may have at once.
	maxChannels = 1024
	// maxAnswers is how many requests may be open, those included whose answer
	// the client may have and the server still counts.
	maxAnswers = 2 * maxChannels
	// maxWindow is the largest credit that a client may give.
	maxWindow = 64 << 20
	// helloWait is how long the peer has for its first word.
	helloWait = 10 * time.Second
)

// ServerOptions of a Server. The zero value of each field means its default, a
// nil *ServerOptions all defaults.
type ServerOptions struct {
	// Build says which program this is, for people.
	Build string
	// Heartbeat is how often the server says that it is there, and a third of
	// the time after which a silent client is disconnected. Defaults to 10 s.
	Heartbeat time.Duration
	// Stop is called, in a goroutine of its own, when a client wants this
	// server gone (Client.Stop): its process is to end. Nil refuses that.
	Stop func()
}

// A Server gives clients on connections the use of an Engine. What becomes of
// a connection never touches the commands.
type Server struct {
	engine  *Engine
	options ServerOptions

	mu          sync.Mutex
	feeds       int
	connections int
	quietSince  time.Time // when the last connection ended
}

// NewServer returns a Server for the engine, which stays the caller's. While the
// Server has no connection, the engine forgets no command for its age: see
// Options.Retention.
func NewServer(engine *Engine, options *ServerOptions) *Server {
	s := &Server{engine: engine, quietSince: time.Now()}
	if options != nil {
		s.options = *options
	}
	engine.desert(true)
	if s.options.Heartbeat <= 0 {
		s.options.Heartbeat = defaultHeartbeat
	}
	return s
}

// Connections returns how many connections there are, and since when if there
// are none.
func (s *Server) Connections() (count int, quietSince time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, s.quietSince
}

// Serve serves all connections that come to the listener until ctx ends, and
// returns nil then. It closes the listener, and the connections, and returns
// when all of its goroutines have. On a unix socket, processes of other users
// are refused.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	defer listener.Close()
	for pause := time.Millisecond; ; {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("exec/shim: serve: %w", err)
		case err != nil: // too many files: others will be closed
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		if err := checkPeer(conn); err != nil {
			conn.Close()
			continue
		}
		work.Go(func() {
			taken, done := takeOver(conn)
			defer done()
			_ = s.ServeConn(ctx, taken)
		})
	}
}

// ServeConn serves one connection until it breaks or ctx ends, closes it, and
// returns when all of its goroutines have. Close of conn must end a Read and a
// Write in progress. The error says why the connection ended; it is io.EOF if
// the client has closed it.
func (s *Server) ServeConn(ctx context.Context, conn io.ReadWriteCloser) error {
	s.count(1)
	defer s.count(-1)
	var buf []byte // requests are copied: one buffer serves for all
	l := newLink(conn, func(n int) []byte {
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		return buf[:n]
	})
	stop := context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	defer stop()
	defer l.work.Wait()
	timer := time.AfterFunc(helloWait, func() { l.fail(errSilent) })
	pack, err := s.greet(l)
	timer.Stop()
	if err != nil {
		l.fail(err)
		return fmt.Errorf("exec/shim: serve: %w", l.err)
	}
	l.keepAlive(s.options.Heartbeat)
	// Of requests that wait for something, when the connection is gone.
	waits, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &peer{server: s, link: l, pack: pack, ctx: waits, env: s.engine.options.Env, chunks: make(chunks), feeds: make(map[uint32]*feed), calls: make(map[uint32]struct{})}
	err = l.receive(p.handle)
	cancel()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("exec/shim: serve: %w", err)
}

// Followers returns how many calls of Execute are being served.
func (s *Server) Followers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feeds
}

func (s *Server) countFeed(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds += n
}

func (s *Server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections += n
	switch {
	case s.connections == 0:
		s.quietSince = time.Now()
		s.engine.desert(true)
	case s.connections == n: // the first
		s.engine.desert(false)
	}
}

// greet agrees on a version, and returns whether the client takes lines packed.
func (s *Server) greet(l *link) (pack bool, err error) {
	p, err := l.next()
	if err != nil {
		return false, err
	}
	if p.kind != kindHello {
		return false, protocolErrorf("a packet of kind %d before the hello", p.kind)
	}
	h, err := decodeHello(p.payload)
	if err != nil {
		return false, err
	}
	version := min(h.highest, highestVersion)
	if version < max(h.lowest, lowestVersion) {
		mine := hello{lowest: lowestVersion, highest: highestVersion, about: s.about()}
		if h.about.Drain && s.options.Stop != nil {
			s.engine.Drain()
			l.work.Go(s.options.Stop)
		}
		_ = l.send(kindRefuse, 0, mine.encode())
		return false, protocolErrorf("the client speaks versions %d to %d, this server %d to %d", h.lowest, h.highest, lowestVersion, highestVersion)
	}
	mine := hello{lowest: version, highest: version, about: s.about()}
	return h.about.Pack, l.send(kindHello, 0, mine.encode())
}

func (s *Server) about() helloAbout {
	about := helloAbout{Build: s.options.Build, Instance: s.engine.instance, Engine: s.engine.name, PID: os.Getpid()}
	if s.engine.options.Subreaper {
		about.Capabilities = append(about.Capabilities, "subreaper")
	}
	return about
}
