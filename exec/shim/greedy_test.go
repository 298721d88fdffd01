package shim_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/shim"
)

// TestGreedyClient: a client that takes no answers costs its server little, and
// not for long.
func TestGreedyClient(t *testing.T) {
	t.Run("RequestsWithoutEndAreRefused", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		conn, _, _ := converse(t, path, 1, 1, false)
		before, most, sent := runtime.NumGoroutine(), 0, uint32(0)
		for ; sent < 20_000; sent++ {
			if err := shim.WritePacket(conn, shim.KindStatus, sent+1, nil); err != nil {
				break // the server has closed the connection
			}
			if sent%100 == 0 {
				time.Sleep(time.Millisecond) // so that it answers: its channels are free again
				most = max(most, runtime.NumGoroutine()-before)
			}
		}
		t.Logf("%d requests, %d goroutines", sent, most)
		is.True(sent < 20_000)
		is.True(most < 3000)
	})

	t.Run("AConnectionThatTakesNothingEnds", func(t *testing.T) {
		is := is.New(t)
		e := openEngine(t, t.TempDir(), nil)
		path := serveUnix(t, e, &shim.ServerOptions{Heartbeat: 100 * time.Millisecond})
		conn, _, _ := converse(t, path, 1, 1, false)
		cmd := command("much", "seq", "300000")
		request := append([]byte{1}, shim.ExecuteRequest(t.TempDir(), cmd)...)
		is.NoErr(shim.WritePacket(conn, shim.KindExecute, 1, request))
		start := time.Now()
		for shim.WritePacket(conn, shim.KindHeartbeat, 0, nil) == nil {
			if time.Since(start) > deadline/3 {
				t.Fatal("it is still served")
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Log(time.Since(start).Round(time.Millisecond))
		// The command does not notice.
		_, result, err := runIn(t, e, t.TempDir(), cmd)
		is.NoErr(err)
		is.Equal(result.Lines, uint64(300_000))
	})

	t.Run("AsManyAsTheLimitAgainAndAgain", func(t *testing.T) {
		is := is.New(t)
		path := serveUnix(t, openEngine(t, t.TempDir(), nil), nil)
		conn, _, _ := converse(t, path, 1, 1, false)
		// One goroutine asks as soon as an answer has come: the server may count
		// that one still.
		free := make(chan struct{}, 1024)
		for range cap(free) {
			free <- struct{}{}
		}
		asked := make(chan error, 1)
		const total = 20_000
		go func() {
			for i := range uint32(total) {
				<-free
				if err := shim.WritePacket(conn, shim.KindStatus, i+1, nil); err != nil {
					asked <- err
					return
				}
			}
			asked <- nil
		}()
		for answers := 0; answers < total; {
			kind, _, _, err := shim.ReadPacket(conn)
			is.NoErr(err)
			if kind != shim.KindHeartbeat {
				answers++
				free <- struct{}{}
			}
		}
		is.NoErr(<-asked)
	})
}
