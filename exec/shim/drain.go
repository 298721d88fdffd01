package shim

// Drain makes the engine start no more commands: Execute of an unknown ID is
// exec.ErrNotStarted with ErrClosed. Those that run go on, and can be followed.
func (e *Engine) Drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draining = true
}

// DrainIdle is Drain if no command runs, which it returns: none starts between the
// one and the other.
func (e *Engine) DrainIdle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.commands) > e.ended {
		return false
	}
	e.draining = true
	return true
}

// Count returns how many commands run and how many ended ones are remembered.
func (e *Engine) Count() (running, ended int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.commands) - e.ended, e.ended
}
