package kubetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A slot is what makes a cluster different from the others on the machine. A
// process that has one holds the lock of its file, so the lock also tells
// whether its owner still lives.
type slot struct {
	n    int
	file *os.File // its lock is the claim
	dir  string
	name string // of the control group
}

const (
	slots     = 100
	firstPort = 21000 // below the range from which the kernel gives out ports
	slotPorts = 10
)

// record is kept in the slot's file for whoever cleans up after the owner.
type record struct {
	Boot  string `json:"boot"`
	Node  int    `json:"node"`
	Start uint64 `json:"start"`
}

// takeSlot removes what clusters left behind whose process was killed, and
// claims the first slot with free ports. What could not be removed is in left.
func takeSlot(ctx context.Context, cfg Config) (taken *slot, left, err error) {
	base := filepath.Join(cfg.CacheDir, "clusters")
	// Held only here: claims are made one at a time, so that two processes
	// neither sweep the same slot nor find the same ports free.
	global, err := lock(ctx, filepath.Join(base, "lock"))
	if err != nil {
		return nil, nil, err
	}
	defer global.Close()
	for n := range slots {
		path := filepath.Join(base, strconv.Itoa(n)+".lock")
		if _, err := os.Stat(path); err != nil && taken != nil {
			continue // never used, so nothing to sweep
		}
		f, err := tryLock(path)
		if err != nil {
			return nil, left, errors.Join(err, taken.release())
		}
		if f == nil {
			continue // in use
		}
		s := &slot{
			n: n, file: f, dir: filepath.Join(base, strconv.Itoa(n)),
			name: fmt.Sprintf("rdev-kubetest-%.4x-%d", sha256.Sum256([]byte(base)), n),
		}
		if err := s.sweep(cfg); err != nil {
			left = errors.Join(left, fmt.Errorf("clean up after a former cluster in %s: %w", s.dir, err))
		} else if taken == nil && s.portsFree() {
			taken = s
			continue
		}
		_ = f.Close()
	}
	if taken == nil {
		return nil, left, fmt.Errorf("no slot for a cluster: all %d in %s are in use, or their ports from %d to %d are",
			slots, base, firstPort, firstPort+slots*slotPorts-1)
	}
	return taken, left, nil
}

// port returns the i-th of the slot's ports.
func (s *slot) port(i int) int { return firstPort + s.n*slotPorts + i }

func (s *slot) portsFree() bool {
	for i := range slotPorts {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port(i)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// remember writes down which process is the node, for sweep.
func (s *slot) remember(pid int) error {
	_, start, err := processStat(pid)
	if err != nil {
		return err
	}
	b, err := json.Marshal(record{Boot: bootID(), Node: pid, Start: start})
	if err != nil {
		return err
	}
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	_, err = s.file.WriteAt(b, 0)
	return err
}

// sweep removes all that the slot's last cluster left: nothing, if it was
// stopped. The caller holds the slot's lock.
func (s *slot) sweep(cfg Config) error {
	b, err := os.ReadFile(s.file.Name())
	if err != nil {
		return err
	}
	var r record
	if json.Unmarshal(b, &r) == nil && r.Boot == bootID() {
		if err := s.endNode(cfg, r); err != nil {
			return err
		}
	}
	return s.clear()
}

// endNode kills the node that r names if it still runs. It has ended by itself,
// with its owner, unless something stopped it from doing so.
func (s *slot) endNode(cfg Config, r record) error {
	runs := func() bool {
		_, start, err := processStat(r.Node)
		return err == nil && start == r.Start
	}
	if !runs() {
		return nil
	}
	// The owner may have been killed a moment ago: then the node is just ending.
	for deadline := time.Now().Add(15 * time.Second); runs(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", r.Node)
		}
		thawCgroups(s.name)
		if err := syscall.Kill(r.Node, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	cfg.Logf("ended process %d of a former cluster", r.Node)
	return nil
}

// clear removes the control groups and the data folder, and forgets the node.
func (s *slot) clear() error {
	if err := removeCgroups(s.name); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	return s.file.Truncate(0)
}

// release gives the slot back. There need not be one.
func (s *slot) release() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}
