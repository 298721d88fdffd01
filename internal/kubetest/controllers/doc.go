// Package controllers is empty. Its module pins the Kubernetes from which package
// kubetest builds kube-controller-manager and kube-scheduler, which few tests
// want; it is the same as in ../binaries, and is moved to another version in the
// same way.
package controllers
