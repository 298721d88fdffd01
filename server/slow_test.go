package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// TestReaderThatNeverReads: it is closed after the deadline, harms nobody
// meanwhile, and can resume.
func TestReaderThatNeverReads(t *testing.T) {
	t.Run("OnAConnection", func(t *testing.T) { neverReads(t, func(*setup) {}) })
	t.Run("OnAResponse", func(t *testing.T) { neverReads(t, wrapped) })
}

func neverReads(t *testing.T, change func(*setup)) {
	is := is.New(t)
	memory := stream.NewMemory(stream.MemoryConfig{StreamBytes: 64 << 20, TotalBytes: 64 << 20})
	t.Cleanup(memory.Shutdown)
	told := lags{most: new(atomic.Uint64)}
	st := newStand(t, func(up *setup) {
		up.broker = memory
		up.config.WriteTimeout = 200 * time.Millisecond
		up.config.Observer = told
		change(up)
	})
	st.command("slow", rdev.StateRunning)

	conn, err := net.Dial("tcp", st.addr)
	is.NoErr(err)
	defer conn.Close()
	is.NoErr(conn.(*net.TCPConn).SetReadBuffer(64 << 10))
	_, err = io.WriteString(conn, "GET /projects/web/events?stream_id=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+adminKey+"\r\n\r\n")
	is.NoErr(err)
	eventually(t, "it reads", func() bool { return memory.Stats().Subscribers == 1 })

	// More than the buffers of both ends hold.
	const count = 20_000
	data := []byte(`{"line":"` + strings.Repeat("x", 1000) + `","stream":"stdout"}`)
	for seq := uint64(1); seq <= count; seq += 1000 {
		var events []stream.Event
		for i := range uint64(1000) {
			events = append(events, stream.Event{Seq: seq + i, Kind: stream.Output, Data: data})
		}
		is.NoErr(memory.Publish(t.Context(), "slow", events))
	}
	eventually(t, "the reader is closed", func() bool { return memory.Stats().Subscribers == 0 })
	is.True(told.most.Load() > 0) // how far it was behind
	is.True(told.most.Load() <= count)

	// What it did receive says where to go on.
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	lines := bufio.NewReader(conn)
	last := uint64(0)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if id, ok := strings.CutPrefix(line, "id: slow:"); ok {
			_, _ = fmt.Sscan(id, &last)
		}
	}
	is.True(last > 0 && last < count)
	// The last one may have come in half.
	last--
	resume := func() *sse.Decoder {
		_, events := openStream(t, st, "slow", "Last-Event-ID", sse.Cursor{Stream: "slow", Seq: last}.String())
		next(t, events, "connected")
		return events
	}
	for events := resume(); last < count; {
		event, err := events.Next()
		if err != nil { // on a machine that is busy this one is slow, too
			events = resume()
			continue
		}
		if last++; event.ID != fmt.Sprintf("slow:%d", last) {
			t.Fatalf("%s came where %d was to come", event.ID, last)
		}
	}
}

// TestHangUp: a reader that goes is noticed at once.
func TestHangUp(t *testing.T) {
	t.Run("OnAConnection", func(t *testing.T) { hangUp(t, func(*setup) {}) })
	t.Run("OnAResponse", func(t *testing.T) { hangUp(t, wrapped) })
}

func hangUp(t *testing.T, change func(*setup)) {
	is := is.New(t)
	memory := stream.NewMemory(stream.MemoryConfig{})
	t.Cleanup(memory.Shutdown)
	st := newStand(t, func(up *setup) { up.broker = memory; change(up) })
	st.command("quiet", rdev.StateRunning)
	resp, events := openStream(t, st, "quiet")
	next(t, events, "connected")
	is.Equal(memory.Stats().Subscribers, 1)
	resp.Body.Close()
	eventually(t, "the subscription is closed", func() bool { return memory.Stats().Subscribers == 0 })
}

// lags notes how far readers were behind.
type lags struct{ most *atomic.Uint64 }

func (l lags) Lagged(events uint64) {
	if events > l.most.Load() {
		l.most.Store(events)
	}
}
func (lags) Answered(server.Answer)   {}
func (lags) GapTold(*stream.GapError) {}
