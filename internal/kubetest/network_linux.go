package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The networks of pods are in 198.18.0.0/15, which is set aside for benchmarks
// and so is nobody's: a /24 for each slot, with Services in its lower half and
// pods in the upper one. The first address is this machine's on the link to each
// pod, and at the same time that of the Service kubernetes: so a forwarder is all
// it takes for pods to find the API server as they do in any cluster.

func (s *slot) gateway() string  { return fmt.Sprintf("198.18.%d.1", s.n) }
func (s *slot) services() string { return fmt.Sprintf("198.18.%d.0/25", s.n) }

// network is the configuration of the plugins that make the network of a pod: a
// link to this machine, which ends with the pod.
func (s *slot) network() string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "kubetest", "plugins": [{
  "type": "ptp", "ipMasq": false,
  "ipam": {
    "type": "host-local", "dataDir": "/var/lib/cni/networks",
    "ranges": [[{"subnet": "198.18.%[1]d.0/24", "rangeStart": "198.18.%[1]d.128", "gateway": "198.18.%[1]d.1"}]],
    "routes": [{"dst": "0.0.0.0/0"}]
  }
}]}
`, s.n)
}

// expose forwards a port of the gateway, "0" for any that is free, to an address
// of this machine.
func (o *own) expose(address, port string) (string, io.Closer, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// The address is there only while a pod is.
		controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		})
		return errors.Join(controlErr, err)
	}}
	l, err := config.Listen(context.Background(), "tcp4", net.JoinHostPort(o.slot.gateway(), port))
	if err != nil {
		return "", nil, fmt.Errorf("kubetest: listen for pods: %w", err)
	}
	f := &forwarder{listener: l, target: address, open: map[net.Conn]bool{}}
	f.work.Go(f.accept)
	return l.Addr().String(), f, nil
}

// forwarder connects what it accepts to its target.
type forwarder struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (f *forwarder) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.work.Go(func() { f.forward(c) })
	}
}

func (f *forwarder) forward(from net.Conn) {
	defer f.drop(from)
	if !f.keep(from) {
		return
	}
	to, err := net.DialTimeout("tcp", f.target, 10*time.Second)
	if err != nil {
		return
	}
	defer f.drop(to)
	if !f.keep(to) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { relay(from, to) })
	relay(to, from)
	back.Wait()
}

// relay copies until one side ends, and tells the other.
func relay(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
	return !f.closed
}

func (f *forwarder) drop(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

// Close ends all connections, and returns when nothing is left.
func (f *forwarder) Close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
	return err
}
