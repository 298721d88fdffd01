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

func (e *Engine) isCrowded() bool {
	o := e.options
	return o.MaxEnded >= 0 && e.ended > o.MaxEnded ||
		o.MaxEndedBytes >= 0 && e.endedBytes > o.MaxEndedBytes
}

// sweepEnded deletes ended commands that are too old or too many, until Close.
func (e *Engine) sweepEnded() {
	every := time.Minute
	if r := e.options.Retention; r > 0 {
		every = min(every, max(r/4, time.Millisecond))
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-e.closing:
			return
		case <-ticker.C:
		case <-e.crowded:
		}
		e.deleteEnded()
	}
}

// deleteEnded deletes those past Retention, and the oldest while there are too
// many. One that somebody follows is left for later.
func (e *Engine) deleteEnded() {
	e.mu.Lock()
	var ended []*command
	for _, c := range e.commands {
		if c.isDone() && c.followers == 0 {
			ended = append(ended, c)
		}
	}
	e.mu.Unlock()
	slices.SortFunc(ended, func(a, b *command) int { return a.ended.Compare(b.ended) })
	for _, c := range ended {
		e.mu.Lock()
		expired := e.isExpiredLocked(c)
		if !expired && !e.isCrowded() {
			e.mu.Unlock()
			return
		}
		var gone string
		if e.commands[c.id] == c && c.followers == 0 {
			// If it cannot be deleted now, it may be the next time.
			gone, _ = e.forgetLocked(c)
		}
		e.mu.Unlock()
		if gone != "" {
			_ = os.RemoveAll(gone)
		}
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
