package helmtest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// documents are the parts of a file of manifests that hold more than comments.
func documents(t testing.TB, manifests string) []string {
	t.Helper()
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader([]byte(manifests))))
	var all []string
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := yaml.Unmarshal(text, &content); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(content) > 0 {
			all = append(all, string(text))
		}
	}
}

// decode turns a manifest into the type of Kubernetes that it is of, and refuses
// fields that the type does not have, and those that come twice.
func decode(manifest string) (runtime.Object, error) {
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	object, _, err := strict.Decode([]byte(manifest), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, manifest)
	}
	return object, nil
}
