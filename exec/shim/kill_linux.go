package shim

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is the processes of one command: the session that its main process
// leads, everything that carries its cookie, and what was seen to descend from
// it while it ran.
type tree struct {
	pids   pidSource
	leader int    // the main process, also the id of the session and the group
	owned  bool   // leader is our unreaped child, so its id is nobody else's
	start  uint64 // its start time; 0 if that is not known
	cookie []byte
	forked time.Time
	family map[int]uint64 // process id to start time
	birth  *birth         // nil unless this process is a subreaper
}

// newTree returns the tree of a main process with that start time, which was
// forked after the time forked.
func newTree(pids pidSource, leader int, start uint64, forked time.Time, cookie string) *tree {
	return &tree{
		pids:   pids,
		leader: leader,
		owned:  true,
		start:  start,
		cookie: []byte(cookie),
		forked: forked,
		family: make(map[int]uint64),
	}
}

// terminate asks the process group to end.
func (t *tree) terminate() { _ = unix.Kill(-t.leader, unix.SIGTERM) }

// kill ends every process of the tree but the leader's zombie, and returns
// those that may still be alive after killWait, and those of which nothing has
// told until then whether they are of the tree.
//
// It goes on until it has a proof that none is left, or has found none twice
// in a row. The proof: a pass over all processes finds none, and the last
// process id that the kernel gave out is the same after the pass as before it.
// Then nothing was forked meanwhile, so what could be alive now was there
// during the whole pass. Else the next pass looks at the new ids.
func (t *tree) kill() []int {
	if t.owned {
		// One call for the group, which no fork escapes: the kernel makes a
		// fork in progress start over when a signal is pending.
		_ = unix.Kill(-t.leader, unix.SIGKILL)
	}
	t.birth.end()
	return t.hunt(time.Now().Add(killWait), t.members)
}

// hunt is kill once it has begun. A pass returns the living members of the tree
// in a window, and what may be some.
func (t *tree) hunt(deadline time.Time, pass func(pidWindow) (found, unsure []int)) []int {
	window := t.pids.since(t.leader, t.forked)
	killed := false
	defer func() {
		if killed {
			t.birth.reapOrphans()
		}
	}()
	for clean := 0; clean < 2; {
		found, unsure := pass(window)
		isLate := time.Now().After(deadline)
		if len(found)+len(unsure) == 0 {
			clean++
			if window = t.pids.after(window); window.empty() {
				break
			}
			continue
		}
		killed = killed || len(found) > 0
		for _, pid := range found {
			t.killOne(pid)
		}
		if isLate { // also where others take the place of those that died
			return append(found, unsure...)
		}
		// Not for long: one that was in the middle of execve was not killed.
		awaitDeath(found, earlier(deadline, time.Now().Add(killAgain)))
		// All again: who was killed may have forked before.
		clean, window = 0, t.pids.since(t.leader, t.forked)
	}
	return nil
}

// members returns the living processes of the tree, except the leader if it is
// ours, whose id is in the window, and those that may be of it.
//
// In a process that is a child subreaper, orphans of the tree become its own
// children whatever they did to their session and environment. birth tells
// which of them can only be of this tree.
func (t *tree) members(window pidWindow) (found, unsure []int) {
	pids := window.list()
	for _, pid := range t.birth.orphans() {
		if !window.contains(pid) {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		switch t.look(pid) {
		case memberOf:
			found = append(found, pid)
		case undecided:
			unsure = append(unsure, pid)
		}
	}
	// A process in the middle of execve shows no environment for a moment.
	for i := 0; i < 60 && len(unsure) > 0; i++ {
		time.Sleep(time.Duration(1+i/10) * 300 * time.Microsecond)
		unsure = slices.DeleteFunc(unsure, func(pid int) bool {
			verdict := t.look(pid)
			if verdict == memberOf {
				found = append(found, pid)
			}
			return verdict != undecided
		})
	}
	for pid, start := range t.family {
		if s, err := readStat(pid); err != nil || s.startTime != start || s.dead() {
			delete(t.family, pid)
		} else if !slices.Contains(found, pid) {
			found = append(found, pid)
		}
	}
	return found, unsure
}

type verdict int

const (
	stranger verdict = iota
	memberOf
	undecided
)

func (t *tree) look(pid int) verdict {
	if pid == os.Getpid() || pid == t.leader && t.owned {
		return stranger
	}
	session, err := unix.Getsid(pid)
	if errors.Is(err, unix.ESRCH) {
		return stranger
	}
	if err == nil && t.owned && session == t.leader {
		if s, err := readStat(pid); err != nil || s.dead() {
			return stranger
		}
		return memberOf
	}
	folder := procFolder(pid)
	env, err := os.ReadFile(folder + "/environ")
	switch {
	case holdsVariable(env, t.cookie):
		// Zombies have no environment, so this one lives.
		return memberOf
	case len(env) > 0 && t.birth == nil:
		return stranger
	}
	s, statErr := readStat(pid)
	if statErr != nil || s.dead() || s.flags&kernelThread != 0 {
		return stranger
	}
	if s.ended() {
		// Only its other threads have what the process is known by.
		if folder = livingThread(pid); folder == "" {
			return undecided
		}
		if env, err = os.ReadFile(folder + "/environ"); holdsVariable(env, t.cookie) {
			return memberOf
		}
	}
	switch {
	case t.birth.owns(pid, s):
		return memberOf
	case len(env) > 0:
		return stranger
	case err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT):
		// It may not be looked at: another user's, or one that hides its memory
		// as ssh-agent does. It can be of the command, but so can any other.
		return stranger
	}
	switch {
	case s.startTime < t.start:
		return stranger
	case s.flags&exiting != 0 && s.threads <= 1:
		return stranger // it has no environment any more, and starts nothing
	}
	// It has no environment, or not yet. Arguments and environment come at once:
	// one that has arguments has no environment for good, or has it by now.
	args, _ := os.ReadFile(folder + "/cmdline")
	if len(args) == 0 {
		return undecided
	}
	if env, _ := os.ReadFile(folder + "/environ"); holdsVariable(env, t.cookie) {
		return memberOf
	}
	return stranger
}

// holdsVariable reports whether kv is one of the NUL-terminated entries of env.
func holdsVariable(env, kv []byte) bool {
	for {
		i := bytes.Index(env, kv)
		if i < 0 {
			return false
		}
		end := i + len(kv)
		if (i == 0 || env[i-1] == 0) && (end == len(env) || env[end] == 0) {
			return true
		}
		env = env[end:]
	}
}

// killOne kills pid if it still is a member. The descriptor pins the process:
// if it is the one that was looked at before, the signal cannot reach another
// that was given its id meanwhile.
func (t *tree) killOne(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil { // an old kernel, or a sandbox that forbids it
		_ = unix.Kill(pid, unix.SIGKILL)
		return
	}
	defer unix.Close(fd)
	if _, known := t.family[pid]; known {
		if s, err := readStat(pid); err != nil || s.startTime != t.family[pid] {
			return
		}
	} else if t.look(pid) != memberOf {
		return
	}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

// remember notes all present descendants of the leader, so that those are
// found later who then have neither session nor cookie nor parent.
func (t *tree) remember() {
	parents := make(map[int]stat)
	for _, pid := range (pidWindow{all: true}).list() {
		if s, err := readStat(pid); err == nil {
			parents[pid] = s
		}
	}
	for pid, s := range parents {
		for up, steps := s.parent, 0; up > 1 && steps < 1024; steps++ {
			if up == t.leader {
				t.family[pid] = s.startTime
				break
			}
			up = parents[up].parent
		}
	}
}

// killAgain is how long killed processes have before they are looked at and
// killed again.
const killAgain = 100 * time.Millisecond

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// awaitDeath waits until the processes are dead, or for the deadline.
func awaitDeath(pids []int, deadline time.Time) {
	alive := slices.Clone(pids)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		alive = slices.DeleteFunc(alive, func(pid int) bool {
			s, err := readStat(pid)
			return err != nil || s.dead()
		})
		if len(alive) == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(pause)
	}
}

// killLost kills what an engine that died has left of a command and returns
// what is still alive. The leader's id says something only if the process that
// has it now is the one that was recorded.
func killLost(instance, id string, p processRecord, sameBoot bool) []int {
	start := uint64(0)
	if sameBoot {
		start = p.StartTime
	}
	t := newTree(pidSource{}, p.PID, start, time.Now(), cookie(instance, id))
	t.owned = false
	if s, err := readStat(p.PID); sameBoot && p.PID > 0 && err == nil && s.startTime == p.StartTime {
		t.remember()
		if !s.dead() {
			t.family[p.PID] = s.startTime
		}
		_ = unix.Kill(-p.PID, unix.SIGKILL)
	}
	return t.kill()
}
