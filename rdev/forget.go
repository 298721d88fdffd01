package rdev

import (
	"context"
	"time"

	"github.com/orchard9/rdev/exec"
)

// forgetTimeout bounds how long an executor may take to delete an output.
const forgetTimeout = 2 * time.Second

// forget has the executor delete the output of a command that has ended: it is
// not masked there. What cannot be deleted now goes when it is old.
func (w *worker) forget() {
	forgetter, ok := w.s.cfg.Executor.(exec.Forgetter)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(w.s.patience, forgetTimeout)
	defer cancel()
	_ = forgetter.Forget(ctx, w.cmd.Spec.Target, w.cmd.ID)
}
