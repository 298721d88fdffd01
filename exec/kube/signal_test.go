package kube_test

import (
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/kube"
)

func TestSignalName(t *testing.T) {
	is := is.New(t)
	for number, want := range map[int]string{
		-128: "", 0: "", 9: "SIGKILL", 15: "SIGTERM", 23: "", 34: "SIG34", 64: "SIG64", 65: "", 127: "",
	} {
		is.Equal(kube.SignalName(number), want)
	}
}
