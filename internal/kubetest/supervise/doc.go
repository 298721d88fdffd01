// Package supervise keeps the processes of one test cluster in namespaces of
// their own, so that ending one process ends all of them.
//
// The program cmd/node calls Enter and then Serve. It is started by package
// kubetest as the first process of a new pid namespace and a new mount
// namespace; etcd, kube-apiserver, containerd, kubelet, and with them every
// shim and container, live below it. Whatever becomes of the caller, the kernel
// does the cleaning: the node ends when its standard input ends (which is when
// its caller ends, kill -9 included), and when the first process of a pid
// namespace ends, every process of the namespace is killed and every mount of
// the mount namespace is gone.
//
// Rejected: a process group and a list of mounts to undo. Shims leave their
// group, containers leave their parent, and a caller that was killed undoes
// nothing.
package supervise
