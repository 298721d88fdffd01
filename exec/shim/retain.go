package shim

import (
	"os"
	"slices"
	"time"
)

// noteEnd counts a command that has ended and calls the janitor if there are
// too many.
func (e *Engine) noteEnd(c *command) {
	size := c.log.bytes()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended++
	e.endedBytes += size
	if e.isCrowded() {
		select {
		case e.crowded <- struct{}{}:
		default:
		}
	}
}

func (e *Engine) isCrowded() bool { return e.isCrowdedTimes(1) || e.isHeavy() }

// isCrowdedTimes reports that there are more ended commands than n times MaxEnded.
func (e *Engine) isCrowdedTimes(n int) bool {
	limit := e.options.MaxEnded
	return limit >= 0 && e.ended/n > limit
}

func (e *Engine) isHeavy() bool {
	limit := e.options.MaxEndedBytes
	return limit >= 0 && e.endedBytes > limit
}

const (
	// untoldShare is how many times MaxEnded ended commands are remembered where
	// nobody was told how they ended.
	untoldShare = 4
	// sweepPause is between two searches for room, and before the first: who
	// follows a command that has just ended is told of it meanwhile.
	sweepPause = 200 * time.Millisecond
)

// sweepEnded deletes ended commands that are too old or too many, until Close.
func (e *Engine) sweepEnded() {
	every := time.Minute
	if r := e.options.Retention; r > 0 {
		every = min(every, max(r/4, time.Millisecond))
	}
	for pause := every; ; {
		timer := time.NewTimer(pause)
		select {
		case <-e.closing:
			timer.Stop()
			return
		case <-timer.C:
			pause = min(2*pause, every)
		case <-e.crowded:
			pause = min(sweepPause, every)
			timer.Reset(pause)
			select {
			case <-e.closing:
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		if !e.deleteEnded() {
			pause = every
		}
	}
}

// deleteEnded deletes those past Retention, and the oldest while there are too
// many, first of those whose end was told. One that somebody follows, or that is
// to be remembered for a while, is left for later: it returns whether there are
// still too many.
func (e *Engine) deleteEnded() bool {
	var told, untold []*command
	e.mu.Lock()
	for _, c := range e.commands {
		switch {
		case !c.isDone() || c.followers > 0:
		case c.told.Load():
			told = append(told, c)
		default:
			untold = append(untold, c)
		}
	}
	e.mu.Unlock()
	for _, ended := range [][]*command{told, untold} {
		slices.SortFunc(ended, func(a, b *command) int { return a.ended.Compare(b.ended) })
		for _, c := range ended {
			e.reduce(c)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isCrowded()
}

// reduce deletes of an ended command what is not to be kept.
//
// Where there are too many, or too much output, a command whose end nobody was
// told of loses its output alone: with its record it is known, and not started
// again by a caller who has yet to hear of it. So is each for as long as a client
// may send a request again that it had no answer to.
func (e *Engine) reduce(c *command) {
	e.mu.Lock()
	if e.commands[c.id] != c || c.followers > 0 {
		e.mu.Unlock()
		return
	}
	isOld := time.Since(c.ended) > e.options.keepRecord
	var gone string
	var output []segment
	switch {
	case e.isExpiredLocked(c),
		isOld && c.told.Load() && e.isCrowded(),
		isOld && e.isCrowdedTimes(untoldShare):
		// If it cannot be deleted now, it may be the next time.
		gone, _ = e.forgetLocked(c)
	case e.isHeavy():
		e.endedBytes -= c.log.bytes()
		output = c.log.forget()
	}
	e.mu.Unlock()
	if gone != "" {
		_ = os.RemoveAll(gone)
	}
	for _, seg := range output {
		e.mu.Lock()
		if e.commands[c.id] == c { // else the folder may be another's by now
			_ = os.Remove(segmentPath(c.folder, seg.first))
		}
		e.mu.Unlock()
	}
}

// isExpiredLocked reports whether an ended command is past Retention. That time
// counts only while there is somebody who could have asked how it ended: one
// that nobody was told of must not be started again as if it had never been.
// The caller holds e.mu.
func (e *Engine) isExpiredLocked(c *command) bool {
	if e.options.Retention < 0 || e.deserted {
		return false
	}
	since := c.ended
	if e.visited.After(since) {
		since = e.visited
	}
	return time.Since(since) > e.options.Retention
}

// desert says that nobody is there who could ask for commands, or that somebody
// is again. Somebody is when the engine opens.
func (e *Engine) desert(deserted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deserted = deserted
	if !deserted {
		e.visited = time.Now()
	}
}

// forgetLocked makes the ID of an ended command free and returns the folder
// that is left to delete. The caller holds e.mu, so that the ID is not claimed
// in between, and deletes after that.
func (e *Engine) forgetLocked(c *command) (string, error) {
	gone, err := retireFolder(c.folder)
	if err != nil {
		return "", err
	}
	delete(e.commands, c.id)
	e.forgotten.add(c.id)
	e.ended--
	e.endedBytes -= c.log.bytes()
	return gone, nil
}

// syncDelay is how long after it was told an outcome is fsynced.
const syncDelay = 50 * time.Millisecond

// syncSoon has the outcome of an ended command put on the disk. It is out of
// the command's way, and done for several at once: an outcome that a power
// failure takes away is no wrong one, because the command is then lost. Only
// its start has to be durable before it is true. The caller is counted in e.wg.
func (e *Engine) syncSoon(c *command) {
	if e.options.Volatile {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unsynced = append(e.unsynced, c.folder); len(e.unsynced) == 1 {
		e.wg.Go(e.syncEnded)
	}
}

func (e *Engine) syncEnded() {
	timer := time.NewTimer(syncDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.closing:
	}
	e.mu.Lock()
	folders := e.unsynced
	e.unsynced = nil
	e.mu.Unlock()
	for _, folder := range folders {
		_ = syncRecords(folder) // deleted meanwhile, or a broken disk
	}
}
