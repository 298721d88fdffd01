// Package binaries is empty. Its module pins the Kubernetes from which package
// kubetest builds kube-apiserver, kubelet and kubectl: the version of
// k8s.io/kubernetes that go.mod requires is the version of the test cluster.
//
// It is a module of its own so that the SDK's go.mod stays free of the servers
// of Kubernetes and of all that they need. To move to another version, change
// it everywhere in go.mod (v1.34.x for k8s.io/kubernetes, v0.34.x for each
// replaced k8s.io module) and run "go mod tidy" in this folder.
package binaries
