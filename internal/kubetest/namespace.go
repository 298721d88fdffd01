package kubetest

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CreateNamespace creates a namespace that pods can be created in, and returns
// its name: prefix and random characters.
func (c *Cluster) CreateNamespace(ctx context.Context, prefix string) (string, error) {
	n, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: prefix},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("kubetest: create namespace: %w", err)
	}
	return n.Name, c.makeServiceAccount(ctx, n.Name)
}

// DeleteNamespace deletes a namespace. In a cluster of our own nothing empties
// it, since there is no controller manager: it stays, as terminating, until the
// cluster is stopped.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	return c.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
}

// makeServiceAccount makes the account without which no pod can be created. The
// controller manager would do it; an external cluster has one.
func (c *Cluster) makeServiceAccount(ctx context.Context, namespace string) error {
	err := poll(ctx, func() error {
		_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Name: "default"},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err // the server makes the namespace "default" a moment after it is ready
	})
	if err != nil {
		return fmt.Errorf("kubetest: create service account: %w", err)
	}
	return nil
}
