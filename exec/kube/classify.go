package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/orchard9/rdev/exec"
)

// A failure says why no command was started. Everything that fails before the
// script in the pod has been told what to run is one, by construction: what is
// read from an error is only whether to try again, and what to tell people.
type failure struct {
	cause error // a sentinel of exec
	text  string
	final bool // trying again will not help
	err   error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%v: %s", f.cause, f.text)
}

// Unwrap returns the sentinel and the transport's error.
func (f *failure) Unwrap() []error {
	if f.err == nil {
		return []error{f.cause}
	}
	return []error{f.cause, f.err}
}

// The texts by which errors are known that have neither type nor code when they
// arrive here. Tests on a real cluster pin them.
var (
	aboutPod   = []string{"does not have a host assigned", "is not valid for pod", "must be specified for pod", "cannot exec into a container in a completed pod"}
	noSuchPod  = []string{"pod does not exist", `pods "`}
	notRunning = []string{"container not found (", "is in CONTAINER_", "pod does not exist"}
	noProgram  = []string{"executable file not found", "no such file or directory"}
	noRight    = []string{"permission denied"}
)

const rightsHint = `rdev needs the verbs "get" and "create" on pods/exec`

// classify turns the end of a stream whose script was never told what to run
// into a failure.
func classify(err error) *failure {
	if err == nil {
		return &failure{cause: exec.ErrNotStarted, text: "the stream ended at once, without a word"}
	}
	text := err.Error()
	f := &failure{cause: exec.ErrNotStarted, text: text, err: err}
	answer, refused := refusal(err)
	code := answer.Code
	if !refused {
		code = spdyCode(text)
	}
	switch {
	case errors.Is(err, context.Canceled):
		f.text = "given up"
	case code == http.StatusNotFound || contains(text, noSuchPod) && contains(text, []string{"not found"}):
		f.cause = exec.ErrTargetNotReady // the watch tells soon what became of it
	case code == http.StatusUnauthorized:
		f.text = "the API server does not accept rdev's credentials: " + text
	case code == http.StatusForbidden:
		f.text, f.final = text+"; "+rightsHint, true
	case contains(text, aboutPod):
		f.cause, f.final = exec.ErrTargetNotReady, true
	case strings.Contains(text, "OCI runtime exec failed") || strings.Contains(text, "failed to start exec"):
		if contains(text, noProgram) || contains(text, noRight) {
			f.cause, f.final = exec.ErrTargetNotReady, true
			f.text = "the container has no sh that can be executed, and rdev needs one to run commands: use an image with a POSIX sh (" + text + ")"
		}
	case contains(text, notRunning):
		f.cause = exec.ErrTargetNotReady
	}
	return f
}

// spdyCode knows a refused SPDY upgrade, which is text alone.
func spdyCode(text string) int32 {
	switch {
	case !strings.Contains(text, "unable to upgrade"):
		return 0
	case strings.Contains(text, "is forbidden"), strings.Contains(text, "Forbidden"):
		return http.StatusForbidden
	case strings.Contains(text, "Unauthorized"):
		return http.StatusUnauthorized
	}
	return 0
}

func isAboutPod(text string) bool { return contains(text, aboutPod) }

func contains(text string, any []string) bool {
	for _, s := range any {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
