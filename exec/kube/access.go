package kube

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// A Right is one of those that rdev needs in its namespace.
type Right struct {
	Verb     string
	Resource string // with its subresource: "pods/exec"
	Name     string // of the one object; empty: of all
	// Allowed says whether the API server grants it, and Reason why not.
	Allowed bool
	Reason  string
}

// String says it as a Role would: "create pods/exec".
func (r Right) String() string {
	if r.Name != "" {
		return fmt.Sprintf("%s %s %s", r.Verb, r.Resource, r.Name)
	}
	return r.Verb + " " + r.Resource
}

// rights are those of the Role in deploy/kubernetes/role.yaml.
func rights() []Right {
	var all []Right
	for _, verb := range []string{"get", "list", "watch"} {
		all = append(all, Right{Verb: verb, Resource: "pods"})
	}
	for _, verb := range []string{"get", "create"} {
		all = append(all, Right{Verb: verb, Resource: "pods/exec"})
	}
	for _, verb := range []string{"get", "list", "watch"} {
		all = append(all, Right{Verb: verb, Resource: "configmaps", Name: SettingsName})
	}
	return all
}

// Rights asks the API server which of the rights that rdev needs in the
// namespace are granted to cfg's user. It needs no right itself, and no
// Executor: without the rights there is none.
func Rights(ctx context.Context, cfg *rest.Config, namespace string) ([]Right, error) {
	client, err := typedauthorizationv1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("exec/kube: rights: %w", err)
	}
	all := rights()
	for i := range all {
		r := &all[i]
		resource, sub, _ := strings.Cut(r.Resource, "/")
		review, err := client.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: r.Verb, Resource: resource, Subresource: sub, Name: r.Name,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("exec/kube: ask for the right to %s: %w", r, err)
		}
		if r.Allowed = review.Status.Allowed; !r.Allowed {
			r.Reason = orDefault(review.Status.Reason, "no role in the namespace "+namespace+" grants it")
		}
	}
	return all, nil
}
