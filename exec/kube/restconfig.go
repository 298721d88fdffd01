package kube

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// LoadConfig returns how to reach the cluster, and the namespace that goes with
// it: by the file kubeconfig if that is not empty; else as a pod of the cluster
// itself; else by the files that KUBECONFIG names, or ~/.kube/config, as
// kubectl does.
func LoadConfig(kubeconfig string) (config *rest.Config, namespace string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	// With no file at all, this is the configuration of the pod we are in.
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{})
	if config, err = loader.ClientConfig(); err != nil {
		return nil, "", fmt.Errorf("exec/kube: load configuration: %w", err)
	}
	if namespace, _, err = loader.Namespace(); err != nil {
		return nil, "", fmt.Errorf("exec/kube: load configuration: %w", err)
	}
	return config, namespace, nil
}
