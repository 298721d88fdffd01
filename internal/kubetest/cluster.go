package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Part is one of the processes that make a cluster.
type Part string

// The parts, in the order in which they are started. The last two are those that
// make pods of Deployments; they run once StartControllers was called.
const (
	Etcd              Part = "etcd"
	APIServer         Part = "apiserver"
	Containerd        Part = "containerd"
	Kubelet           Part = "kubelet"
	ControllerManager Part = "controller-manager"
	Scheduler         Part = "scheduler"
)

// Parts returns the parts that every cluster has, in the order in which they are
// started.
func Parts() []Part { return []Part{Etcd, APIServer, Containerd, Kubelet} }

// ErrExternal is what everything answers that needs a cluster of our own when
// Config.Kubeconfig named another.
var ErrExternal = errors.New("kubetest: not possible in a cluster that kubetest did not start")

// machine is what only a cluster of our own can do. It is implemented on Linux.
type machine interface {
	start(ctx context.Context, p Part) error
	signal(p Part, s syscall.Signal) error
	wait(ctx context.Context, p Part) error
	pid(p Part) (int, error)
	processes() ([]int, error)
	load(ctx context.Context, i Image) error
	build(ctx context.Context, b Build) error
	startControllers(ctx context.Context) error
	expose(address, port string) (string, io.Closer, error)
	dir() string
	kubectl() string
	keepLogs() (dir string, err error)
	stop() error
}

// Cluster is a running Kubernetes. All methods may be called concurrently,
// except that one part may be killed and started by one goroutine at a time,
// and that nothing may be called after Stop.
type Cluster struct {
	kubeconfig string
	config     *rest.Config
	client     kubernetes.Interface
	machine    machine // nil if external

	loadMu sync.Mutex
	loaded map[Image]bool
}

// Start returns a cluster that is ready for pods: one that it starts, or the one
// that cfg.Kubeconfig names. What is missing is installed and built first, see
// Prepare. If ctx ends, Start undoes what it did; once Start has returned, ctx
// has no meaning for the cluster. The caller must call Stop.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Kubeconfig != "" {
		return connect(cfg.Kubeconfig, nil)
	}
	return startOwn(ctx, cfg)
}

// Prepare does all the slow things that Start and the first pods would do:
// install packages, build Kubernetes, make the Debian image. It is for CI, which
// keeps the cache folder between runs.
func Prepare(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	return prepareOwn(ctx, cfg)
}

// Sweep removes what clusters left behind whose process was killed: data
// folders, empty control groups, and processes if something kept them from
// ending. Start does it, too. Clusters that run are not touched.
func Sweep(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	return sweepOwn(ctx, cfg)
}

func connect(kubeconfig string, m machine) (*Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	// Tests wait for the cluster, not for the limiter of their own client.
	config.QPS, config.Burst = -1, -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	return &Cluster{kubeconfig: kubeconfig, config: config, client: client, machine: m, loaded: map[Image]bool{}}, nil
}

// Stop ends a cluster that Start started: no process, mount, network interface,
// cgroup or folder of it is left when Stop returns nil. It takes about a second,
// and pods are not asked to end. It does nothing to an external cluster.
func (c *Cluster) Stop() error {
	if c.machine == nil {
		return nil
	}
	return c.machine.stop()
}

// External says whether the cluster was there before, so that its parts cannot
// be killed, its images are public ones and its nodes have names of their own.
func (c *Cluster) External() bool { return c.machine == nil }

// Kubeconfig is the path of a kubeconfig file with all rights.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// RESTConfig returns a new copy of the configuration for clients, with all
// rights and without a rate limit. Set its Impersonate to act as somebody else.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client returns a client with all rights and without a rate limit.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Kubectl is the path of a kubectl of the cluster's version; of whatever
// "kubectl" the PATH has for an external cluster.
func (c *Cluster) Kubectl() string {
	if c.machine == nil {
		return "kubectl"
	}
	return c.machine.kubectl()
}

// Dir is the data folder, with the output of each part in log/<part>.log.
// It is "" for an external cluster.
func (c *Cluster) Dir() string {
	if c.machine == nil {
		return ""
	}
	return c.machine.dir()
}
