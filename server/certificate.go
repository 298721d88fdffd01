package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificateCheck is how often the files of a Certificate are looked at, at
// most.
const certificateCheck = time.Second

// A Certificate is a certificate and its key in two files, PEM, which are read
// again when they have changed: a handshake looks, at most once a second. A pair
// that cannot be used, because one of the two is not written yet for example,
// leaves the last good one in place. All methods are safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	onReload          func(error)

	mu      sync.Mutex
	pair    *tls.Certificate
	looked  time.Time
	seen    [2]fileState // what pair was read from, or what could not be used
	problem string       // that was told
}

// fileState tells one writing of a file from another.
type fileState struct {
	modified time.Time
	size     int64
	problem  string
}

// LoadCertificate reads the files. onReload is told of each time that they are
// read again, with nil or why that failed; it must not block, and may be nil.
func LoadCertificate(certFile, keyFile string, onReload func(error)) (*Certificate, error) {
	if onReload == nil {
		onReload = func(error) {}
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, onReload: onReload}
	c.seen, c.looked = c.state(), time.Now()
	pair, err := c.read()
	if err != nil {
		return nil, err
	}
	c.pair = pair
	return c, nil
}

// Config returns what a server that uses the certificate takes: TLS 1.2 or
// newer, and HTTP/2 before HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(), nil
		},
	}
}

// current returns the certificate that holds now.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateCheck {
		return c.pair
	}
	c.looked = time.Now()
	state := c.state()
	if state == c.seen {
		return c.pair
	}
	pair, err := c.read()
	if err != nil {
		// Tried again each second, because a file may be older than it looks;
		// told once.
		if c.problem != err.Error() {
			c.problem = err.Error()
			c.onReload(fmt.Errorf("%w; the one from before stays in use", err))
		}
		return c.pair
	}
	c.pair, c.seen, c.problem = pair, state, ""
	c.onReload(nil)
	return c.pair
}

func (c *Certificate) state() (states [2]fileState) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			states[i].problem = err.Error()
			continue
		}
		states[i].modified, states[i].size = info.ModTime(), info.Size()
	}
	return states
}

func (c *Certificate) read() (*tls.Certificate, error) {
	if c.certFile == "" || c.keyFile == "" {
		return nil, errors.New("server: a certificate needs two files, its own and that of its key")
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("server: certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}
