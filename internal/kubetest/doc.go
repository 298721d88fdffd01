// Package kubetest gives tests a real Kubernetes node: etcd, kube-apiserver,
// containerd, runc and kubelet, each a process that a test can kill and start
// again, and pods made of images that this package writes itself. Neither
// Docker nor an image registry is needed.
//
// A test package shares one cluster over all its tests:
//
//	func TestMain(m *testing.M) { os.Exit(kubetest.Run(m)) }
//
//	func TestSomething(t *testing.T) {
//		c := kubetest.Shared(t)
//		pod := c.RunPod(t, kubetest.Pod{Image: kubetest.Busybox})
//		...
//	}
//
// The cluster starts with the first call of Shared and ends with Run. A cluster
// that cannot start is a failure of the test that asked for it, never a skip.
//
// # What is needed
//
// Linux, root, a Go tool, and a few Debian packages, which are installed where
// that is possible and named in the error where it is not. Kubernetes is built
// from the module in the folder binaries, once, into the cache folder: some ten
// minutes on two cores. Prepare does all of that ahead of time.
//
// With RDEV_TEST_KUBECONFIG set, the cluster that this file names is used
// instead (kind, k3d), with public images; then its parts cannot be killed.
//
// # Several clusters at once
//
// Clusters of different processes do not collide and do not wait for one
// another: each holds a numbered slot in the cache folder, and from the number
// follow its ports, its cgroup and its data folder. Everything else is private
// by namespaces of its own. Only the building of binaries and images is
// serialised, by file locks in the cache folder.
//
// # What stays behind
//
// Nothing but the cache. All processes of a cluster live in a pid namespace,
// all its mounts in a mount namespace, and both end with the process that
// started the cluster, even if that is killed with -9. In that one case a data
// folder and empty cgroups remain, and the next cluster that starts removes
// them. There are no network interfaces but those of pods with a network of their
// own, which end with them.
//
// # Networks
//
// Pods of RunPod use the network of the host, so that everything is on 127.0.0.1.
// A pod that does not ask for that has a network of its own, from which it reaches
// the API server, as the Service kubernetes, and what Cluster.Expose forwards: no
// other pod, no name server, nothing outside. This machine reaches it by its
// address. Other Services have an address that leads nowhere, and a NetworkPolicy
// is stored and not enforced.
//
// # Deployments
//
// Pods of RunPod are put on the node by their name. Cluster.StartControllers
// starts what makes pods of everything else: the controller manager and the
// scheduler.
package kubetest
