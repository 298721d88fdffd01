package kubetest

import (
	"context"
	"syscall"
)

// Kill ends a part as kill -9 does and returns when it is dead. Containers and
// their shims outlive containerd, pods outlive the kubelet, just as on any node.
func (c *Cluster) Kill(ctx context.Context, p Part) error { return c.end(ctx, p, syscall.SIGKILL) }

// Terminate asks a part to end (SIGTERM) and returns when it has.
func (c *Cluster) Terminate(ctx context.Context, p Part) error {
	return c.end(ctx, p, syscall.SIGTERM)
}

func (c *Cluster) end(ctx context.Context, p Part, s syscall.Signal) error {
	if c.machine == nil {
		return ErrExternal
	}
	if err := c.machine.signal(p, s); err != nil {
		return err
	}
	return c.machine.wait(ctx, p)
}

// Pause stops a part in its tracks (SIGSTOP): its connections stay open and
// nothing answers any more. Resume is the way back.
func (c *Cluster) Pause(p Part) error { return c.send(p, syscall.SIGSTOP) }

// Resume lets a paused part go on.
func (c *Cluster) Resume(p Part) error { return c.send(p, syscall.SIGCONT) }

func (c *Cluster) send(p Part, s syscall.Signal) error {
	if c.machine == nil {
		return ErrExternal
	}
	return c.machine.signal(p, s)
}

// StartPart starts a part that has ended, with the ports and data it had, and
// returns when it answers. Parts that need it may take a moment longer to find
// that it is back.
func (c *Cluster) StartPart(ctx context.Context, p Part) error {
	if c.machine == nil {
		return ErrExternal
	}
	return c.machine.start(ctx, p)
}

// Restart is Kill and then StartPart.
func (c *Cluster) Restart(ctx context.Context, p Part) error {
	if err := c.Kill(ctx, p); err != nil {
		return err
	}
	return c.StartPart(ctx, p)
}

// PID is the process id of a running part, as the calling process sees it.
func (c *Cluster) PID(p Part) (int, error) {
	if c.machine == nil {
		return 0, ErrExternal
	}
	return c.machine.pid(p)
}

// Processes returns the ids of all processes of the cluster, those in
// containers included, as the calling process sees them.
func (c *Cluster) Processes() ([]int, error) {
	if c.machine == nil {
		return nil, ErrExternal
	}
	return c.machine.processes()
}
