package kubetest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The places inside the cluster's mount namespace, where /run is empty and /var
// is kept in the data folder.
const (
	containerdSocket = "/run/containerd/containerd.sock"
	nodeName         = "localhost"
)

// Indexes of slot.port.
const (
	etcdPort = iota
	etcdPeerPort
	apiserverPort
	kubeletPort
	kubeletHealthPort
	controllerManagerPort
	schedulerPort
)

func (o *own) url(scheme string, port int) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, o.slot.port(port))
}

// argv is the command line of each part.
func (o *own) argv(p Part) ([]string, error) {
	pki := o.ca.path
	switch p {
	case Etcd:
		path, err := lookTool("etcd")
		peer := o.url("http", etcdPeerPort)
		return []string{path, "--name=" + nodeName, "--data-dir=" + filepath.Join(o.slot.dir, "etcd"),
			"--listen-client-urls=" + o.url("http", etcdPort), "--advertise-client-urls=" + o.url("http", etcdPort),
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=" + nodeName + "=" + peer}, err
	case APIServer:
		return []string{filepath.Join(o.bin, "kube-apiserver"),
			"--etcd-servers=" + o.url("http", etcdPort),
			"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", o.slot.port(apiserverPort)),
			// There is no other server to tell about this one, and a loopback
			// address could not be told anyway.
			"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
			"--cert-dir=" + pki(""),
			"--client-ca-file=" + pki("ca.crt"),
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"),
			"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
			// So that exec goes to the loopback address, where the kubelet listens.
			"--kubelet-preferred-address-types=Hostname",
			"--authorization-mode=Node,RBAC", "--allow-privileged",
			"--service-cluster-ip-range=" + o.slot.services(),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + pki("serviceaccount.pub"),
			"--service-account-signing-key-file=" + pki("serviceaccount.key")}, nil
	case Containerd:
		path, err := lookTool("containerd")
		return []string{path, "--config", filepath.Join(o.slot.dir, "containerd.toml")}, err
	case ControllerManager:
		return append(o.controllerArgv("kube-controller-manager", controllerManagerPort),
			// What a pod needs to reach and to believe the API server.
			"--root-ca-file="+pki("ca.crt"), "--service-account-private-key-file="+pki("serviceaccount.key")), nil
	case Scheduler:
		return o.controllerArgv("kube-scheduler", schedulerPort), nil
	case Kubelet:
		return []string{filepath.Join(o.bin, "kubelet"),
			"--kubeconfig=" + filepath.Join(o.slot.dir, "kubelet.kubeconfig"),
			"--config=" + filepath.Join(o.slot.dir, "kubelet.yaml"),
			"--hostname-override=" + nodeName}, nil
	}
	return nil, fmt.Errorf("kubetest: no part %q", p)
}

// writeSettings writes the files that argv names.
func (o *own) writeSettings() error {
	runc, err := lookTool("runc")
	if err != nil {
		return err
	}
	cni := filepath.Join(o.slot.dir, "cni")
	if err := os.MkdirAll(cni, 0o755); err != nil {
		return err
	}
	for path, text := range map[string]string{
		filepath.Join(cni, "10-kubetest.conflist"): o.slot.network(),
		filepath.Join(o.slot.dir, "containerd.toml"): fmt.Sprintf(containerdSettings,
			containerdSocket, o.slot.dir, pause.imported(), cniDir, cni, o.snapshotter(), runc),
		filepath.Join(o.slot.dir, "kubelet.yaml"): fmt.Sprintf(kubeletSettings,
			o.slot.port(kubeletPort), o.slot.port(kubeletHealthPort),
			o.ca.path("kubelet-server.crt"), o.ca.path("kubelet-server.key"), o.ca.path("ca.crt"),
			containerdSocket, o.slot.name, o.slot.dir),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// snapshotter is overlayfs, or, where the data folder is on an overlay itself
// (in a container, for instance) and cannot carry another, one that copies.
func (o *own) snapshotter() string {
	var st unix.Statfs_t
	if unix.Statfs(o.slot.dir, &st) == nil && st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would fail with
// "can't get final child's PID from pipe: EOF".
const containerdSettings = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = "%s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %q
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = %q
        SystemdCgroup = false
`

// Nothing is evicted or collected however full the machine is, and nothing of
// the machine is changed. Volumes are measured often, so that one beyond its own
// limit is noticed soon.
const kubeletSettings = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %d
healthzBindAddress: 127.0.0.1
healthzPort: %d
tlsCertFile: %s
tlsPrivateKeyFile: %s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: %s}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {}
imageGCHighThresholdPercent: 100
volumeStatsAggPeriod: 5s
makeIPTablesUtilChains: false
resolvConf: ""
volumePluginDir: %s/volumeplugins
`
