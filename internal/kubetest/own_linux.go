package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orchard9/rdev/internal/kubetest/supervise"
)

// own is a cluster that this process started.
type own struct {
	cfg   Config
	slot  *slot
	bin   string // folder with the programs of Kubernetes
	node  *node
	ca    *authority
	runs  atomic.Int64 // of one-off programs, for their names
	ready readiness
	gate  io.Closer // how pods reach the API server; nil before it is open

	controllers string // folder with the programs that make pods of Deployments
}

var _ machine = (*own)(nil)

func prepareOwn(ctx context.Context, cfg Config) error {
	if err := installPackages(ctx, cfg); err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	for from := range kubePrograms {
		if _, err := kubeBinaries(ctx, cfg, from); err != nil {
			return fmt.Errorf("kubetest: %w", err)
		}
	}
	if _, err := debianLayer(ctx, cfg); err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	return nil
}

func sweepOwn(ctx context.Context, cfg Config) error {
	s, left, err := takeSlot(ctx, cfg)
	if err := errors.Join(err, left, s.release()); err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	return nil
}

func startOwn(ctx context.Context, cfg Config) (*Cluster, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("kubetest: a cluster needs root: use sudo, or name an existing cluster (kind, k3d) in RDEV_TEST_KUBECONFIG")
	}
	if err := installPackages(ctx, cfg); err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	bin, err := kubeBinaries(ctx, cfg, "binaries")
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	s, left, err := takeSlot(ctx, cfg)
	if left != nil {
		cfg.Logf("not fatal: %v", left)
	}
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	o := &own{cfg: cfg, slot: s, bin: bin}
	begin := time.Now()
	c, err := o.bringUp(ctx)
	if err != nil {
		err = fmt.Errorf("kubetest: start a cluster: %w", err)
		// The data folder goes, but the logs that the error names should not.
		if kept, keepErr := o.keepLogs(); keepErr == nil {
			err = fmt.Errorf("%w\n(the logs are kept in %s)", err, kept)
		}
		return nil, errors.Join(err, o.stop())
	}
	cfg.Logf("started a cluster in %s, in %s", time.Since(begin).Round(100*time.Millisecond), s.dir)
	return c, nil
}

// bringUp starts everything. What it did is undone by stop, even after an error.
func (o *own) bringUp(ctx context.Context) (*Cluster, error) {
	for _, d := range []string{"log", "tmp"} {
		if err := os.MkdirAll(filepath.Join(o.slot.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := makeCgroups(o.slot.name); err != nil {
		return nil, err
	}
	if err := o.issueCertificates(); err != nil {
		return nil, err
	}
	if err := o.writeSettings(); err != nil {
		return nil, err
	}
	src, err := sourceDir()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"node", "pause"} {
		if err := goBuild(ctx, src, "./cmd/"+name, filepath.Join(o.slot.dir, name), "-ldflags", "-s -w"); err != nil {
			return nil, err
		}
	}
	o.node, err = startNode(ctx, filepath.Join(o.slot.dir, "node"), o.slot.dir, o.log("node"), o.cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	if err := o.slot.remember(o.node.cmd.Process.Pid); err != nil {
		return nil, err
	}
	if _, o.gate, err = o.expose(fmt.Sprintf("127.0.0.1:%d", o.slot.port(apiserverPort)), "443"); err != nil {
		return nil, err
	}
	c, err := connect(filepath.Join(o.slot.dir, "admin.kubeconfig"), o)
	if err != nil {
		return nil, err
	}
	if o.ready, err = newReadiness(o, c); err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := o.start(gctx, Etcd); err != nil {
			return err
		}
		if err := o.start(gctx, APIServer); err != nil {
			return err
		}
		return c.makeServiceAccount(gctx, "default")
	})
	g.Go(func() error {
		if err := o.start(gctx, Containerd); err != nil {
			return err
		}
		// The sandbox needs the first one; the others are small.
		for _, i := range []Image{pause, Busybox, NoShell, ReadOnly} {
			if err := c.Load(gctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return c, o.start(ctx, Kubelet)
}

func (o *own) issueCertificates() error {
	var err error
	if o.ca, err = newAuthority(filepath.Join(o.slot.dir, "pki")); err != nil {
		return err
	}
	server := o.url("https", apiserverPort)
	return errors.Join(
		o.ca.server("apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", o.slot.gateway()),
		o.ca.server("kubelet-server"),
		o.ca.client("admin", "admin", "system:masters"),
		o.ca.client("kubelet", "system:node:"+nodeName, "system:nodes"),
		o.ca.keyPair("serviceaccount"),
		o.ca.kubeconfig(filepath.Join(o.slot.dir, "admin.kubeconfig"), server, "admin"),
		o.ca.kubeconfig(filepath.Join(o.slot.dir, "kubelet.kubeconfig"), server, "kubelet"),
	)
}

func (o *own) log(name string) string { return filepath.Join(o.slot.dir, "log", name+".log") }

// start starts a part and waits until it answers, or has ended.
func (o *own) start(ctx context.Context, p Part) error {
	argv, err := o.argv(p)
	if err != nil {
		return err
	}
	_, err = o.node.call(ctx, supervise.Request{
		Op: supervise.OpStart, Name: string(p), Argv: argv, Log: o.log(string(p)),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	waiting, answered := context.WithCancelCause(ctx)
	defer answered(nil)
	go func() {
		r, err := o.node.call(waiting, supervise.Request{Op: supervise.OpWait, Name: string(p)})
		if err == nil {
			answered(errors.New(exitText(*r.Exit)))
		}
	}()
	if err := o.ready.wait(waiting, p); err != nil {
		return fmt.Errorf("%s: %w%s", p, err, tail(o.log(string(p))))
	}
	return nil
}

func (o *own) signal(p Part, s syscall.Signal) error {
	_, err := o.node.call(context.Background(), supervise.Request{Op: supervise.OpSignal, Name: string(p), Signal: int(s)})
	return err
}

func (o *own) wait(ctx context.Context, p Part) error {
	_, err := o.node.call(ctx, supervise.Request{Op: supervise.OpWait, Name: string(p)})
	return err
}

// ctr runs containerd's client in the cluster.
func (o *own) ctr(ctx context.Context, argv ...string) (string, error) {
	path, err := lookTool("ctr")
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("ctr-%d", o.runs.Add(1))
	log := o.log(name)
	defer os.Remove(log)
	err = o.node.run(ctx, name, log, append([]string{path, "--address", containerdSocket, "--namespace", "k8s.io"}, argv...)...)
	b, _ := os.ReadFile(log)
	return string(b), err
}

func (o *own) load(ctx context.Context, i Image) error {
	path, id, err := writeImage(ctx, o.cfg, i, filepath.Join(o.slot.dir, "pause"), filepath.Join(o.slot.dir, "tmp"))
	if err != nil {
		return fmt.Errorf("kubetest: image %s: %w", i, err)
	}
	return o.importImage(ctx, string(i), path, id)
}

// importImage brings an archive in, and deletes it.
func (o *own) importImage(ctx context.Context, name, path, id string) error {
	defer os.Remove(path)
	if _, err := o.ctr(ctx, "images", "import", "--snapshotter", o.snapshotter(), path); err != nil {
		return fmt.Errorf("kubetest: import image %s: %w", name, err)
	}
	// A kubelet that asks before containerd's CRI side has seen the image is told
	// that it is not there, and asks again much later.
	return poll(ctx, func() error {
		list, err := o.ctr(ctx, "images", "list", "--quiet")
		if err == nil && !strings.Contains(list, id) {
			err = fmt.Errorf("kubetest: image %s (%s) is not listed", name, id)
		}
		return err
	})
}

func (o *own) pid(p Part) (int, error) {
	r, err := o.node.call(context.Background(), supervise.Request{Op: supervise.OpSignal, Name: string(p)})
	if err != nil {
		return 0, err
	}
	all, err := o.processes()
	if err != nil {
		return 0, err
	}
	_, nodeDepth, err := innerPID(o.node.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range all {
		if inner, depth, err := innerPID(pid); err == nil && depth == nodeDepth && inner == r.PID {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("kubetest: %s is not running", p)
}

func (o *own) processes() ([]int, error) { return descendants(o.node.cmd.Process.Pid) }

func (o *own) dir() string { return o.slot.dir }

func (o *own) kubectl() string { return filepath.Join(o.bin, "kubectl") }

// keepLogs copies the logs to the cache, in place of those that the same slot
// kept before, so that they are few.
func (o *own) keepLogs() (string, error) {
	kept := filepath.Join(o.cfg.CacheDir, "failed", strconv.Itoa(o.slot.n))
	if err := os.RemoveAll(kept); err != nil {
		return "", err
	}
	return kept, os.CopyFS(kept, os.DirFS(filepath.Join(o.slot.dir, "log")))
}

func (o *own) stop() error {
	if o.gate != nil {
		_ = o.gate.Close()
	}
	if o.node != nil {
		thawCgroups(o.slot.name)
		if err := o.node.stop(); err != nil {
			// Keep the record: the next cluster that starts tries again.
			return errors.Join(fmt.Errorf("kubetest: stop: %w", err), o.slot.release())
		}
	}
	if err := errors.Join(o.slot.clear(), o.slot.release()); err != nil {
		return fmt.Errorf("kubetest: stop: %w", err)
	}
	return nil
}
