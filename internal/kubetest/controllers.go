package kubetest

import (
	"context"
	"testing"
)

// StartControllers starts the controller manager and the scheduler, which make
// pods of Deployments and put them on the node, and returns when they answer.
// They are built first, if they are not in the cache. It does nothing where they
// run, as in an external cluster.
func (c *Cluster) StartControllers(ctx context.Context) error {
	if c.machine == nil {
		return nil
	}
	return c.machine.startControllers(ctx)
}

// Expose makes an address of this machine's loopback interface reachable for
// pods with a network of their own, until the test ends, and returns the address
// by which they reach it.
func (c *Cluster) Expose(t testing.TB, address string) string {
	t.Helper()
	if c.machine == nil {
		t.Fatal(ErrExternal)
	}
	exposed, forwarder, err := c.machine.expose(address, "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forwarder.Close() })
	return exposed
}
