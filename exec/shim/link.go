package shim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultHeartbeat is how often each side says that it is there.
	defaultHeartbeat = 10 * time.Second
	// silentBeats is after how many of them without a word, or with a packet that
	// it does not take, the peer counts as gone.
	silentBeats = 3
	// chunkSize is how much of a long request one packet carries, so that
	// those of others come in between.
	chunkSize = 64 << 10
	// linkBuffer is what is read at once, unless a payload takes more.
	linkBuffer = 16 << 10
	// writeBuffer has room for a packet with a full frame, so that it goes out
	// in one write: each write may travel as a message of its own, and the last
	// four bytes of a packet are not worth one.
	writeBuffer = 144 << 10
)

// errSilent ends a connection from which nothing comes any more.
var errSilent = errors.New("the peer is silent")

// errStuck ends a connection that takes nothing any more.
var errStuck = errors.New("the peer takes nothing")

// A link is one side of a connection. Its methods are safe for concurrent use,
// except that one goroutine receives.
type link struct {
	conn   io.ReadWriteCloser
	reader packetReader
	heard  atomic.Int64 // when a packet came last, in time since born
	born   time.Time

	writing atomic.Int64 // since when a packet is being written, likewise; 0: none is
	waiting atomic.Int32 // senders that will flush
	mu      sync.Mutex
	out     *bufio.Writer

	once sync.Once
	gone chan struct{} // closed when the link has failed
	err  error         // why, after gone
	work sync.WaitGroup
}

func newLink(conn io.ReadWriteCloser, alloc func(int) []byte) *link {
	return &link{
		conn:   conn,
		reader: packetReader{r: bufio.NewReaderSize(conn, linkBuffer), alloc: alloc},
		born:   time.Now(),
		out:    bufio.NewWriterSize(conn, writeBuffer),
		gone:   make(chan struct{}),
	}
}

// fail ends the link. The first error is the one that counts.
func (l *link) fail(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.gone)
		_ = l.conn.Close()
	})
}

func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// send writes a packet. What several senders have to say at once goes out in
// one write.
func (l *link) send(kind packetKind, channel uint32, parts ...[]byte) error {
	l.waiting.Add(1)
	return l.write(func() error {
		more := l.waiting.Add(-1) > 0
		err := writePacket(l.out, kind, channel, parts...)
		if err == nil && !more {
			err = l.out.Flush()
		}
		return err
	})
}

// hold writes a packet that goes out with the next one, or with flush.
func (l *link) hold(kind packetKind, channel uint32, parts ...[]byte) error {
	return l.write(func() error { return writePacket(l.out, kind, channel, parts...) })
}

// flush sends what is held.
func (l *link) flush() error { return l.write(l.out.Flush) }

func (l *link) write(write func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isGone() {
		return l.err
	}
	l.writing.Store(int64(time.Since(l.born)) | 1)
	defer l.writing.Store(0)
	err := write()
	if err != nil {
		l.fail(fmt.Errorf("write: %w", err))
	}
	return err
}

// A long request goes out in several packets, each with a byte that says
// whether it is the last one. Nothing happens at the peer before that came.
const (
	chunkMore = 0
	chunkLast = 1
)

// sendLong sends a long request. It calls last before it writes what completes
// the request.
func (l *link) sendLong(kind packetKind, channel uint32, body []byte, last func()) error {
	for len(body) > chunkSize {
		if err := l.send(kind, channel, []byte{chunkMore}, body[:chunkSize]); err != nil {
			return err
		}
		body = body[chunkSize:]
	}
	last()
	return l.send(kind, channel, []byte{chunkLast}, body)
}

// chunks puts long requests together.
type chunks map[uint32][]byte

// add returns the request when it is complete.
func (c chunks) add(p packet) (body []byte, complete bool, err error) {
	if len(p.payload) == 0 || p.payload[0] > chunkLast {
		return nil, false, protocolErrorf("a malformed part of a request")
	}
	part := p.payload[1:]
	begun := c[p.channel]
	switch {
	case len(begun)+len(part) > maxRequest:
		return nil, false, protocolErrorf("a request of more than %d bytes", maxRequest)
	case p.payload[0] == chunkMore && begun == nil && len(c) >= maxChannels:
		return nil, false, protocolErrorf("more than %d requests at once", maxChannels)
	case p.payload[0] == chunkMore:
		c[p.channel] = append(begun, part...)
		return nil, false, nil
	}
	delete(c, p.channel)
	return append(begun, part...), true, nil
}

// receive gives packets to handle until the link fails, and returns why.
func (l *link) receive(handle func(packet) error) error {
	for {
		p, err := l.next()
		if err == nil && p.kind != kindHeartbeat {
			err = handle(p)
		}
		if err != nil {
			l.fail(err)
			return l.err
		}
	}
}

func (l *link) next() (packet, error) {
	p, err := l.reader.next()
	if err == nil {
		l.heard.Store(int64(time.Since(l.born)))
	}
	return p, err
}

// keepAlive says every so often that this side is there, and ends the link
// when nothing comes from the other one, or it takes nothing.
func (l *link) keepAlive(every time.Duration) {
	// Two goroutines: to say something may take for ever.
	l.work.Go(func() {
		l.eachTick(every, func() { _ = l.send(kindHeartbeat, 0) })
	})
	l.work.Go(func() {
		l.eachTick(every/2, func() {
			now := time.Since(l.born)
			if silence := now - time.Duration(l.heard.Load()); silence > silentBeats*every {
				l.fail(fmt.Errorf("%w for %v", errSilent, silence.Round(time.Millisecond)))
			}
			begun := time.Duration(l.writing.Load())
			if begun > 0 && now-begun > silentBeats*every {
				l.fail(fmt.Errorf("%w for %v", errStuck, (now - begun).Round(time.Millisecond)))
			}
		})
	})
}

func (l *link) eachTick(every time.Duration, do func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-l.gone:
			return
		case <-ticker.C:
			do()
		}
	}
}
