package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"

	"github.com/rs/zerolog"
)

type (
	address  = net.Addr
	listener = net.Listener
)

// listen opens the address, or says in one line why not and what to do.
func listen(ctx context.Context, addr string) (listener, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usagef("addr %q is not host:port, such as 127.0.0.1:8080", addr)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, usagef("%s is taken, perhaps by another rdev serve; stop that, or choose another with --addr (port 0 finds a free one)", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, usagef("this user may not listen on %s; choose a port above 1023 with --addr", addr)
	case err != nil:
		return nil, usagef("cannot listen on %s: %w", addr, err)
	}
	return l, nil
}

func isLoopback(addr address) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// reachable is host:port by which this machine reaches the address.
func reachable(addr address) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

// warnings says what is allowed but rarely meant.
func warnings(addr address, log *zerolog.Logger) {
	if !isLoopback(addr) {
		log.Warn().Stringer("addr", addr).
			Msg("others can reach this server: keys and output cross the network as they are, so set tls_cert_file and tls_key_file, or put a proxy with TLS before it")
	}
}
