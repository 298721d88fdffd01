package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"
)

const (
	pingInterval = 3 * time.Second
	redialMin    = 100 * time.Millisecond
	redialMax    = 3 * time.Second
	dialTimeout  = 5 * time.Second
)

var errStuck = errors.New("store/postgres: the connection for LISTEN does not answer")

// listenForEver keeps a listener going. One that is stuck, as on a connection
// that a firewall has forgotten, is abandoned and replaced.
func (w *wakeups) listenForEver(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.listen(ctx); err != nil && ctx.Err() == nil {
			w.opts.OnError(err)
		}
		w.heard.Store(0)
		pause(ctx, redialMin)
	}
}

// listen listens until ctx ends or the listener is of no use any more. The
// listener reconnects by itself; a nil notification says that it has, and that
// what was sent meanwhile is lost.
func (w *wakeups) listen(ctx context.Context) error {
	dialer := &cuttingDialer{}
	listener := pq.NewDialListener(dialer, w.opts.ListenDSN, redialMin, redialMax, func(event pq.ListenerEventType, err error) {
		if event == pq.ListenerEventDisconnected || event == pq.ListenerEventConnectionAttemptFailed {
			w.heard.Store(0)
			if ctx.Err() == nil { // else it was cut because the Store is closed
				w.opts.OnError(fmt.Errorf("store/postgres: listen: %w", err))
			}
		}
	})
	// Listen and Ping block for as long as the connection does, and Close
	// behind them: so the connection goes first.
	var blocked sync.WaitGroup
	defer func() {
		dialer.cut()
		_ = listener.Close() // the connection is gone already
		blocked.Wait()
	}()

	listened := make(chan error, 1)
	blocked.Go(func() { listened <- errors.Join(listener.Listen(channel), listener.Listen(keyChannel)) })
	pings := make(chan error, 1)
	pinging := false
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-listened:
			if err != nil {
				return fmt.Errorf("store/postgres: listen: %w", err)
			}
			w.missed()
		case n := <-listener.NotificationChannel():
			switch {
			case n == nil:
				w.missed()
			case n.Channel == keyChannel:
				w.keys.Tell(n.Extra)
			default:
				w.hear(n.Extra)
			}
		case <-pings: // an error is told to the callback as well
			pinging = false
		case <-tick.C:
			if pinging {
				return errStuck
			}
			pinging = true
			blocked.Go(func() { pings <- listener.Ping() })
		}
	}
}

// missed is called when LISTEN begins, or begins again: whatever was sent before
// is lost.
func (w *wakeups) missed() {
	kick(w.poll)
	w.tell(w.echo, news{})
	w.keys.Tell()
}

// cuttingDialer dials for a listener and can take its connection away.
type cuttingDialer struct {
	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

// Dial implements pq.Dialer.
func (d *cuttingDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, dialTimeout)
}

// DialTimeout implements pq.Dialer.
func (d *cuttingDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout, KeepAlive: pingInterval}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	d.conns = append(d.conns[:0], conn) // a listener has one at a time
	return conn, nil
}

// cut closes the connection and refuses new ones.
func (d *cuttingDialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.conns {
		_ = c.Close() // it is given up
	}
}
