package shim

import (
	"errors"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An orphanage is what a child subreaper knows about processes that become its
// children when their parents die. A nil one belongs to a process that is none.
//
// Such an orphan may have left nothing by which it could be told whose it is.
// It is no command's that was started after it, and every other command that
// runs may be its origin: if only one does, it is that one's. So an orphan is
// killed with the last of the commands that it may descend from, and never
// before; the first of them to see it kills it when all are ending. To the first
// process of a container come the orphans of others, too: there they are reaped,
// and nothing else.
type orphanage struct {
	// forking is held for reading from before a fork until the new process is
	// known, and for writing while an orphan is reaped, which a process not
	// known yet could be mistaken for.
	forking sync.RWMutex

	mu     sync.Mutex
	births map[*birth]struct{} // commands whose process was not reaped yet
}

// A birth is the start of a command's main process, from before the fork.
type birth struct {
	home  *orphanage
	ticks uint64 // time, as in stat.startTime

	// Guarded by home.mu.
	leader int  // 0 before born
	ending bool // its processes are being killed
	// spared are orphans that another command has left alone because they may
	// be this one's. They are not all among the ids given out after the
	// leader's: of what was started in the same tick, the leader may be the last.
	spared map[int]struct{}
}

func newOrphanage(isSubreaper bool) *orphanage {
	if !isSubreaper {
		return nil
	}
	return &orphanage{births: make(map[*birth]struct{})}
}

// expect is called before a fork, and born or failed after it.
func (o *orphanage) expect() *birth {
	if o == nil {
		return nil
	}
	b := &birth{home: o, ticks: bootTicks(), spared: make(map[int]struct{})}
	o.forking.RLock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.births[b] = struct{}{}
	return b
}

func (b *birth) born(leader int) {
	if b == nil {
		return
	}
	b.home.mu.Lock()
	b.leader = leader
	b.home.mu.Unlock()
	b.home.forking.RUnlock()
}

func (b *birth) failed() {
	if b == nil {
		return
	}
	b.over()
	b.home.forking.RUnlock()
}

// over is called when the leader has been reaped.
func (b *birth) over() {
	if b == nil {
		return
	}
	b.home.mu.Lock()
	defer b.home.mu.Unlock()
	delete(b.home.births, b)
	b.home.forgetLocked(b.leader) // it may have been looked at before born
}

// end is called before the command's processes are looked for. From then on no
// orphan is left alone for its sake: it takes those itself that it may own.
func (b *birth) end() {
	if b == nil {
		return
	}
	b.home.mu.Lock()
	defer b.home.mu.Unlock()
	b.ending = true
}

// orphans returns the orphans that were left alone for the command's sake.
func (b *birth) orphans() []int {
	if b == nil {
		return nil
	}
	b.home.mu.Lock()
	defer b.home.mu.Unlock()
	return slices.Collect(maps.Keys(b.spared))
}

// owns reports whether the process is an orphan that can only be of this
// command, or of others that end as well.
func (b *birth) owns(pid int, s stat) bool {
	if self := os.Getpid(); b == nil || self == 1 || s.parent != self || s.startTime < b.ticks {
		return false
	}
	b.home.mu.Lock()
	defer b.home.mu.Unlock()
	owned := true
	for other := range b.home.births {
		switch {
		case other.leader == pid:
			return false
		case other != b && !other.ending && other.ticks <= s.startTime:
			other.spared[pid] = struct{}{}
			owned = false
		}
	}
	return owned
}

// reapOrphans reaps what the command has left behind, so that not even zombies
// are to be seen when it is over.
func (b *birth) reapOrphans() {
	if b != nil {
		b.home.reapAll()
	}
}

func (o *orphanage) isLeader(pid int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for b := range o.births {
		if b.leader == pid {
			return true
		}
	}
	return false
}

// reapPause is how long orphans are left to die together.
const reapPause = 100 * time.Millisecond

// reap takes the exit status of orphans until stop is closed.
func (o *orphanage) reap(stop <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	timer := time.NewTimer(reapPause)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		o.reapAll()
		select {
		case <-stop:
			return
		case <-died:
			timer.Reset(reapPause)
		}
	}
}

func (o *orphanage) reapAll() {
	for _, pid := range (pidWindow{all: true}).list() {
		if !o.isOrphan(pid) {
			continue
		}
		o.forking.Lock()
		if o.isOrphan(pid) {
			for {
				_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
				if !errors.Is(err, unix.EINTR) {
					break
				}
			}
			o.forget(pid)
		}
		o.forking.Unlock()
	}
}

// forget says that the process is dead.
func (o *orphanage) forget(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgetLocked(pid)
}

func (o *orphanage) forgetLocked(pid int) {
	for b := range o.births {
		delete(b.spared, pid)
	}
}

// isOrphan reports a dead child of this process that leads no command.
func (o *orphanage) isOrphan(pid int) bool {
	if o.isLeader(pid) {
		return false
	}
	s, err := readStat(pid)
	return err == nil && s.parent == os.Getpid() && s.dead()
}

// bootTicks is the time in the unit of stat.startTime, which is 1/100 s on all
// systems that Go knows, rounded down.
func bootTicks() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return uint64(now.Nano()) / uint64(10*time.Millisecond)
}

// BecomeSubreaper makes this process a child subreaper, which processes stay
// until they end: see Options.Subreaper.
func BecomeSubreaper() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// raiseOOMScore adds to a process's oom_score_adj, which needs no rights.
func raiseOOMScore(pid, by int) {
	if by <= 0 {
		return
	}
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	score, err := strconv.Atoi(string(trimNewline(data)))
	if err != nil {
		return
	}
	// Where it is not permitted, the kernel decides as it does elsewhere.
	_ = os.WriteFile(path, []byte(strconv.Itoa(min(score+by, 1000))), 0)
}

func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}
