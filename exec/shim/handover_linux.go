package shim

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// HandOver gives the pipes in and out to the server at the other end of a new
// connection, which takes them in its place: what comes from in is the
// client's, what goes to the client is written to out. So a process that bridges
// two pipes to a server does not have to copy what they carry. It returns false,
// and has done nothing, if the two are no pipes, or conn is no unix socket.
//
// The pipes stay the caller's, to be used no more, and closed after the
// connection, which stands for both: if one side closes it, the other has ended.
func HandOver(conn io.ReadWriteCloser, in, out any) (bool, error) {
	socket, ok := conn.(*net.UnixConn)
	from, isFile := in.(*os.File)
	to, isFileToo := out.(*os.File)
	if !ok || !isFile || !isFileToo || !isPipe(from) || !isPipe(to) {
		return false, nil
	}
	rights := unix.UnixRights(int(from.Fd()), int(to.Fd()))
	if _, _, err := socket.WriteMsgUnix([]byte{0}, rights, nil); err != nil {
		return false, fmt.Errorf("exec/shim: hand over: %w", err)
	}
	return true, nil
}

func isPipe(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// A takeover is a connection whose client may begin with HandOver instead of a
// hello. One goroutine reads, and nothing is written before it has read
// something.
type takeover struct {
	*net.UnixConn
	begun bool // to read
	watch sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	in, out *os.File // nil unless they were handed over
}

// takeOver returns a connection that can be handed over, and what is to be
// called when it has been served.
func takeOver(conn net.Conn) (io.ReadWriteCloser, func()) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return conn, func() {}
	}
	t := &takeover{UnixConn: socket}
	return t, func() {
		_ = t.Close()
		t.watch.Wait()
	}
}

func (t *takeover) Read(b []byte) (int, error) {
	if t.begun {
		if t.in != nil {
			return t.in.Read(b)
		}
		return t.UnixConn.Read(b)
	}
	t.begun = true
	rights := make([]byte, unix.CmsgSpace(2*4))
	n, size, flags, _, err := t.ReadMsgUnix(b, rights)
	if err != nil || size == 0 && flags&unix.MSG_CTRUNC == 0 {
		return n, err
	}
	if err := t.accept(rights[:size]); err != nil {
		return 0, err
	}
	return t.in.Read(b)
}

func (t *takeover) accept(rights []byte) error {
	var fds []int
	messages, err := unix.ParseSocketControlMessage(rights)
	if err == nil && len(messages) == 1 {
		fds, err = unix.ParseUnixRights(&messages[0])
	}
	var files []*os.File
	for _, fd := range fds {
		// So that Close ends a Read and a Write in progress.
		err = firstOf(err, unix.SetNonblock(fd, true))
		files = append(files, os.NewFile(uintptr(fd), "pipe"))
	}
	if err == nil && len(files) != 2 {
		err = protocolErrorf("%d files were handed over, want 2", len(files))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.closed {
		err = net.ErrClosed
	}
	if err != nil {
		for _, file := range files {
			_ = file.Close()
		}
		return err
	}
	t.in, t.out = files[0], files[1]
	widenPipe(t.out)
	t.watch.Go(func() {
		// Nothing comes but the end of whoever holds the pipes for us.
		_, _ = t.UnixConn.Read(make([]byte, 1))
		_ = t.Close()
	})
	return nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (t *takeover) Write(b []byte) (int, error) {
	if t.out != nil {
		return t.out.Write(b)
	}
	return t.UnixConn.Write(b)
}

func (t *takeover) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if t.in != nil {
		_ = t.in.Close()
		_ = t.out.Close()
	}
	return t.UnixConn.Close()
}
