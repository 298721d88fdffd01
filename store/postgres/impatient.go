package postgres

import (
	"context"
	"net"
	"time"
)

// patience is how long a connection may keep somebody waiting who expects an
// answer. It is above every time limit of a statement: what takes longer is a
// connection that a firewall has forgotten, or a server that stands still.
//
// The driver ends a query whose context has ended by asking the server to
// cancel it, and waits for the answer. Where none comes, this ends the wait;
// without it, appends would stand still until the system gives up on the
// connection, which takes a quarter of an hour.
const patience = 10 * time.Second

// impatientDialer is the pq.Dialer of connections that keep to patience.
type impatientDialer struct{}

// Dial implements pq.Dialer.
func (d impatientDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, dialTimeout)
}

// DialTimeout implements pq.Dialer.
func (d impatientDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// DialContext implements pq.DialerContext.
func (impatientDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return impatientConn{conn}, nil
}

// impatientConn relies on the driver reading only when it expects an answer.
type impatientConn struct{ net.Conn }

// Read implements net.Conn.
func (c impatientConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c impatientConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
