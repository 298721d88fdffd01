package daemon

import (
	"context"
	"net"

	"golang.org/x/sys/unix"
)

// terminate has the daemon of the state folder, if there is one, cancel its
// commands and end.
func terminate(dir string) {
	conn, err := connect(context.Background(), dir)
	if err != nil {
		return
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// It is alive and has this number: it listens.
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && peer.Pid > 1 {
			_ = unix.Kill(int(peer.Pid), unix.SIGTERM)
		}
	})
}
