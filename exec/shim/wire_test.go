package shim_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/shim"
)

// converse dials a server and says hello with these versions.
func converse(t *testing.T, path string, lowest, highest uint16, drain bool) (conn net.Conn, kind byte, payload []byte) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if err := shim.WritePacket(conn, shim.KindHello, 0, shim.Hello(lowest, highest, "", drain)); err != nil {
		t.Fatal(err)
	}
	kind, _, payload, err = shim.ReadPacket(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, kind, payload
}

func TestWire(t *testing.T) {
	ctx := context.Background()

	t.Run("TheHighestCommonVersionIsSpoken", func(t *testing.T) {
		is := is.New(t)
		_, kind, payload := converse(t, serveUnix(t, openEngine(t, t.TempDir(), nil), nil), 0, 900, false)
		is.Equal(kind, shim.KindHello)
		lowest, highest, err := shim.HelloVersions(payload)
		is.NoErr(err)
		is.Equal(lowest, highest)
	})

	t.Run("AnIncompatibleClientIsRefusedAndMayAskToDrain", func(t *testing.T) {
		is := is.New(t)
		stopped := make(chan struct{}, 2)
		e := openEngine(t, t.TempDir(), nil)
		path := serveUnix(t, e, &shim.ServerOptions{Stop: func() { stopped <- struct{}{} }})
		conn, kind, _ := converse(t, path, 900, 901, false)
		is.Equal(kind, shim.KindRefuse)
		_, _, _, err := shim.ReadPacket(conn)
		is.True(errors.Is(err, io.EOF))
		is.Equal(len(stopped), 0)
		_, kind, _ = converse(t, path, 900, 901, true)
		is.Equal(kind, shim.KindRefuse)
		<-stopped
		_, err = e.Execute(ctx, t.TempDir(), command("late", "true"), discard)
		is.True(errors.Is(err, shim.ErrClosed))
	})

	t.Run("AnIncompatibleServerIsSaid", func(t *testing.T) {
		is := is.New(t)
		c := newClient(t, shim.ClientConfig{Patience: 50 * time.Millisecond, Dial: fakeServer(func(conn net.Conn) {
			_ = shim.WritePacket(conn, shim.KindRefuse, 0, shim.Hello(900, 901, "x", false))
		})})
		_, err := c.Execute(ctx, t.TempDir(), command("none", "true"), discard)
		is.True(errors.Is(err, exec.ErrNotStarted))
		is.True(bytes.Contains([]byte(err.Error()), []byte("speaks versions 900 to 901")))
	})

	t.Run("ACorruptPacketEndsTheConnectionAndNothingElse", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		path := serveUnix(t, e, nil)
		workspace := t.TempDir()
		for _, spoil := range []func([]byte){
			func(b []byte) { b[0] ^= 1 },        // length
			func(b []byte) { b[4] = 200 },       // kind
			func(b []byte) { b[5] = 1 },         // reserved
			func(b []byte) { b[9] ^= 1 },        // channel
			func(b []byte) { b[30] ^= 1 },       // payload
			func(b []byte) { b[len(b)-1] ^= 1 }, // checksum
			func(b []byte) { binary.LittleEndian.PutUint32(b, 1<<30) },
		} {
			conn, _, _ := converse(t, path, 1, 1, false)
			var b bytes.Buffer
			is.NoErr(shim.WritePacket(&b, shim.KindExecute, 1, append([]byte{1}, shim.ExecuteRequest(workspace, command("spoilt", "true"))...)))
			spoil(b.Bytes())
			_, err := conn.Write(b.Bytes())
			is.NoErr(err)
			_ = conn.(*net.UnixConn).CloseWrite()
			_, err = io.ReadAll(conn)
			is.NoErr(err) // its end
		}
		_, ended := e.Count()
		is.Equal(ended, 0) // nothing ran
	})

	t.Run("AResultBeforeItsLinesIsNotBelieved", func(t *testing.T) {
		is := is.New(t)
		dials := 0
		fake := fakeServer(func(conn net.Conn) {
			_ = shim.WritePacket(conn, shim.KindHello, 0, shim.Hello(1, 1, "x", false))
			_, _, _, _ = shim.ReadPacket(conn)
			_ = shim.WritePacket(conn, shim.KindAccepted, 1, nil)
			_ = shim.WritePacket(conn, shim.KindLines, 1, shim.BuildFrame(1, exec.Stdout, time.Now(), "one"))
			_ = shim.WritePacket(conn, shim.KindResult, 1, shim.Result(exec.Result{Reason: exec.Exited, Lines: 2}))
			_, _ = io.Copy(io.Discard, conn)
		})
		c := newClient(t, shim.ClientConfig{Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			if dials++; dials > 1 {
				return nil, exec.ErrLost
			}
			return fake(ctx)
		}})
		var out output
		_, err := c.Execute(ctx, t.TempDir(), command("short", "true"), out.sink)
		is.True(errors.Is(err, exec.ErrLost))
		is.Equal(len(out.lines), 1)
	})
}

// fakeServer is a Dial whose other end reads the client's hello and then does
// what it is told.
func fakeServer(answer func(net.Conn)) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		mine, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			if _, _, _, err := shim.ReadPacket(theirs); err == nil {
				answer(theirs)
			}
		}()
		return mine, nil
	}
}

func FuzzPacket(f *testing.F) {
	var b bytes.Buffer
	_ = shim.WritePacket(&b, 34, 7, []byte("payload"))
	f.Add(b.Bytes())
	f.Add(append(b.Bytes(), b.Bytes()[:9]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var again bytes.Buffer
		for {
			kind, channel, payload, err := shim.ReadPacket(r)
			if err != nil {
				break
			}
			if err := shim.WritePacket(&again, kind, channel, payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Fatal("what was read is not what was there")
		}
	})
}

func FuzzRequest(f *testing.F) {
	cmd := command("id", "a", "b")
	f.Add(shim.ExecuteRequest("/w", cmd))
	cmd.Env = map[string]string{"A": "b"}
	cmd.Stdin = []byte("in")
	cmd.After, cmd.Resume = 9, true
	f.Add(shim.ExecuteRequest("", cmd))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !shim.CheckRequest(data) {
			t.Fatal("a request is not the same after it was encoded again")
		}
	})
}

// FuzzAnswers: whatever a server says, the client does not panic, and gives no
// lines but in order. Each packet is a byte for its kind, one for its length,
// and the payload.
func FuzzAnswers(f *testing.F) {
	lines := shim.BuildFrame(1, exec.Stdout, time.Unix(1, 0), "one", "two")
	result := shim.Result(exec.Result{Reason: exec.Exited, Lines: 2})
	say := func(kind byte, payload []byte) []byte { return append([]byte{kind, byte(len(payload))}, payload...) }
	f.Add(bytes.Join([][]byte{say(shim.KindAccepted, nil), say(shim.KindLines, lines), say(shim.KindResult, result)}, nil))
	f.Add(say(shim.KindFailure, []byte(`{"message":"m","codes":["lost"]}`)))
	f.Add(bytes.Join([][]byte{say(shim.KindLines, lines), say(shim.KindLines, lines[:20])}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		dials := 0
		fake := fakeServer(func(conn net.Conn) {
			_ = shim.WritePacket(conn, shim.KindHello, 0, shim.Hello(1, 1, "x", false))
			_, _, _, _ = shim.ReadPacket(conn)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for len(data) >= 2 {
				n := min(int(data[1]), len(data)-2)
				if shim.WritePacket(conn, data[0], 1, data[2:2+n]) != nil {
					return
				}
				data = data[2+n:]
			}
		})
		c, err := shim.NewClient(shim.ClientConfig{Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
			if dials++; dials > 1 {
				return nil, exec.ErrLost
			}
			return fake(ctx)
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		next := uint64(1)
		r, err := c.Execute(context.Background(), "/", command("fuzz", "true"), func(lines []exec.Line) error {
			for _, l := range lines {
				if l.Seq != next {
					panic(fmt.Sprintf("line %d, want %d", l.Seq, next))
				}
				next++
			}
			return nil
		})
		if err == nil && r.Lines >= next {
			t.Fatalf("a result of %d lines after %d", r.Lines, next-1)
		}
	})
}
