package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

// childFile is the variable that makes the test program a child of TestKill.
const childFile = "RDEV_SQLITE_TEST_FILE"

const killStreams = 4

// inChild publishes until it is killed, if this process was started for that.
func inChild() bool {
	path := os.Getenv(childFile)
	if path == "" {
		return false
	}
	s, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	failures := make(chan error)
	for n := range killStreams {
		go func() { failures <- publishForever(s, n) }()
	}
	fmt.Println("error", <-failures)
	return true
}

// publishForever prints the stream and its last seq after each batch that was
// acknowledged. It goes on where the stream ends.
func publishForever(s *sqlite.Store, n int) error {
	id := fmt.Sprint("stream-", n)
	sub, err := s.Broker().Subscribe(context.Background(), id, 0)
	if err != nil {
		return err
	}
	seq := sub.Head().Seq
	sub.Close()
	for size := 1; ; size = size%97 + 1 {
		events := make([]stream.Event, size)
		for i := range events {
			seq++
			events[i] = numbered(id, seq)
		}
		if err := s.Broker().Publish(context.Background(), id, events); err != nil {
			return err
		}
		fmt.Println(n, seq)
	}
}

// numbered returns an event whose data tells where it belongs.
func numbered(id string, seq uint64) stream.Event {
	return stream.Event{Seq: seq, Kind: stream.Output, Data: fmt.Appendf(nil, `{"stream":%q,"seq":%d}`, id, seq)}
}

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	path := file(t)
	acknowledged := make([]uint64, killStreams)
	for round := range 4 {
		publishUntilKilled(t, path, 100+150*round, acknowledged)
		s, err := sqlite.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n, seq := range acknowledged {
			expectDense(t, s, fmt.Sprint("stream-", n), seq)
		}
		var check string
		if err := s.Writer().QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
			t.Fatalf("integrity check: %s, %v", check, err)
		}
		closeStore(t, s)
	}
}

// publishUntilKilled kills the child with SIGKILL after so many
// acknowledgements, while it publishes.
func publishUntilKilled(t *testing.T, path string, acknowledgements int, last []uint64) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
	defer watchdog.Stop()
	lines := bufio.NewScanner(output)
	for got := 0; lines.Scan(); got++ {
		if got == acknowledgements {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var n int
		var seq uint64
		if _, err := fmt.Sscan(lines.Text(), &n, &seq); err != nil {
			if got < acknowledgements {
				t.Fatalf("the child said %q", lines.Text())
			}
			break // the last line may be cut
		}
		last[n] = seq // what was printed before the kill counts as well
	}
	_, _ = io.Copy(io.Discard, output)
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
}

// expectDense reads the stream and fails unless it is dense, as published, and
// reaches at least as far as was acknowledged.
func expectDense(t *testing.T, s *sqlite.Store, id string, acknowledged uint64) {
	t.Helper()
	sub, err := s.Broker().Subscribe(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	head := sub.Head().Seq
	if head < acknowledged {
		t.Fatalf("%s ends at %d, but %d was acknowledged", id, head, acknowledged)
	}
	for seq := uint64(0); seq < head; {
		page, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			seq++
			if want := numbered(id, seq); e.Seq != seq || e.Kind != want.Kind || string(e.Data) != string(want.Data) {
				t.Fatalf("%s has %d %s %s where seq %d was expected", id, e.Seq, e.Kind, e.Data, seq)
			}
		}
	}
}
