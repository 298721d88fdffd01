package rdev

import (
	"errors"
	"fmt"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
)

func TestPlain(t *testing.T) {
	const id = "cmd-01k9abcdefghjkmnpqrstvwxyz"
	for text, want := range map[string]string{
		"exec/shim: execute " + id + ": command lost: its state folder is gone":           "command lost: its state folder is gone",
		"exec/shim: " + id + ": command lost: its engine died while it ran":               "command lost: its engine died while it ran",
		"exec/kube: execute " + id + ": target not ready: pod web-0: the container waits": "target not ready: pod web-0: the container waits",
		"exec/kube: locate web: target not found: no pod belongs to the project \"web\"":  "target not found: no pod belongs to the project \"web\"",
		"exec/shim: start \"nosuch\": program not found: no such file":                    "start \"nosuch\": program not found: no such file",
		"command lost: exec/kube: execute " + id + ": exec/shim: " + id + ": gone":        "command lost: gone",
		"rdev: execute " + id + ": command lost":                                          "command lost",
		"exec/shim: execute " + id + ": command lost: command lost: the pod was deleted":  "command lost: the pod was deleted",
		"execute order: 66":           "execute order: 66",
		"it said: exec: format error": "it said: format error",
		"":                            "",
	} {
		if got := plain(errors.New(text)); got != want {
			t.Errorf("plain(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestFailureIsPlain: the error that the log gets keeps what users are not told.
func TestFailureIsPlain(t *testing.T) {
	is := is.New(t)
	err := fmt.Errorf("exec/shim: execute cmd-1: %w: its state folder is gone", exec.ErrLost)
	state, code, message := (&worker{}).failure(err)
	is.Equal(state, StateLost)
	is.Equal(code, CodeCommandLost)
	is.Equal(message, "command lost: its state folder is gone")
}
