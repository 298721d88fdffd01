package kubetest

import "context"

// Image is one of the images that pods of a test can have.
type Image string

const (
	// Busybox is a static busybox, with all its applets in /bin.
	Busybox Image = "busybox"
	// Debian is a minimal Debian userland with git, bash and glibc.
	Debian Image = "debian"
	// NoShell has one static program, which waits, and nothing else: neither a
	// shell nor a folder that can be written to, save those a pod mounts.
	NoShell Image = "noshell"
	// ReadOnly is Busybox for a root that is read-only: the folders have mode
	// 0555, there is no /tmp, and the user is 65532. Use it with
	// Pod.ReadOnlyRoot; what is to be writable must be in Pod.EmptyDirs.
	ReadOnly Image = "readonly"

	// pause is what a sandbox of containerd runs.
	pause Image = "pause"
)

// Reference is the name by which a pod names the image in this cluster: one
// that was imported, or a public one in an external cluster.
func (c *Cluster) Reference(i Image) string {
	if c.machine != nil {
		return i.imported()
	}
	switch i {
	case Debian:
		return "docker.io/library/buildpack-deps:bookworm-scm"
	case NoShell:
		return "registry.k8s.io/pause:3.10"
	default:
		return "docker.io/library/busybox:1.36"
	}
}

// imported is the reference in a cluster of our own. The name cannot be
// resolved, so that nothing is ever pulled by mistake.
func (i Image) imported() string { return "kubetest.invalid/" + string(i) + ":1" }

// Load makes an image available to pods. CreatePod does it by itself; a test
// that measures how fast a pod starts may want it done before. Debian takes a
// few seconds in each cluster, and a minute or two when it is not in the cache.
func (c *Cluster) Load(ctx context.Context, i Image) error {
	if c.machine == nil {
		return nil
	}
	c.loadMu.Lock()
	defer c.loadMu.Unlock()
	if c.loaded[i] {
		return nil
	}
	if err := c.machine.load(ctx, i); err != nil {
		return err
	}
	c.loaded[i] = true
	return nil
}
