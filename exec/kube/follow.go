package kube

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/orchard9/rdev/exec"
)

// follow gives the lines after the given one to sink until the command has
// ended, as Execute says.
func (c *command) follow(ctx context.Context, after uint64, sink func([]exec.Line) error) (exec.Result, error) {
	var (
		buf   []byte
		lines []exec.Line
		fail  error // from sink, which is not called again then
		over  = ctx.Done()
	)
	c.mu.Lock()
	at := c.out.spool.find(after)
	c.mu.Unlock()
	for {
		c.mu.Lock()
		changed, ended, more := c.changed, c.isDone(), fail == nil && at.offset < c.out.spool.size()
		var err error
		if more {
			lines, at, err = c.out.spool.read(at, &buf, lines)
		}
		c.mu.Unlock()
		if err != nil {
			fail, more = fmt.Errorf("exec/kube: execute %s: %w", c.cmd.ID, err), false
			c.end(exec.Canceled)
		}
		if more {
			for len(lines) > 0 && lines[0].Seq <= after {
				lines = lines[1:]
			}
			if len(lines) > 0 {
				if fail = sink(lines); errors.Is(fail, exec.ErrDetached) {
					return exec.Result{}, fail
				} else if fail != nil {
					c.end(exec.Canceled)
				}
			}
		} else if ended {
			break
		}
		if more && ctx.Err() == nil {
			continue
		}
		if over != nil && ctx.Err() != nil {
			if cause := context.Cause(ctx); errors.Is(cause, exec.ErrDetached) {
				return exec.Result{}, cause
			}
			c.end(exec.Canceled)
			over = nil
			continue
		}
		if more {
			continue
		}
		select {
		case <-changed:
		case <-over:
		}
	}
	switch {
	case fail != nil:
		return exec.Result{}, fail
	case c.err != nil:
		return exec.Result{}, fmt.Errorf("exec/kube: execute %s in %s: %w", c.cmd.ID, c.cmd.Target.Name, c.err)
	}
	return c.result, nil
}

// checkDir refuses what leaves the workspace whatever links are in it.
func checkDir(dir string) error {
	switch {
	case dir == "":
		return nil
	case path.IsAbs(dir):
		return &exec.FieldError{Field: "dir", Problem: "is absolute: want a folder relative to the workspace"}
	case !filepath.IsLocal(dir):
		return &exec.FieldError{Field: "dir", Problem: "leaves the workspace"}
	}
	return nil
}
