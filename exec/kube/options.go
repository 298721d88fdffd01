package kube

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options of an Executor. The zero value of each field means its default, a
// nil *Options all defaults.
type Options struct {
	// Namespace is where the pods and the ConfigMap are. Defaults to "default".
	Namespace string
	// Version of the program, for the User-Agent. Defaults to "dev".
	Version string
	// SyncTimeout is how long New waits for the first list of pods and for the
	// settings. Defaults to 30 s.
	SyncTimeout time.Duration
	// Patience is how long a command that certainly has not started is tried
	// again before it is exec.ErrNotStarted. Defaults to 15 s; negative means
	// that it is not.
	Patience time.Duration
	// ReadyTimeout is how long a program of rdev's in a container may take to
	// say that it is there, counted from the request for its exec. It has
	// nothing to do with how long commands run. Defaults to 30 s.
	ReadyTimeout time.Duration
	// Linger is how long children that hold the output open may outlive the
	// main process of a command. Defaults to one second; negative means not at
	// all.
	Linger time.Duration
	// Retention is how long an ended command is remembered. Defaults to one
	// hour; negative means until there are too many.
	Retention time.Duration
	// MaxEnded is how many ended commands are remembered; the oldest go first.
	// Defaults to 1024.
	MaxEnded int
	// MaxEndedBytes is how many bytes of output of ended commands a shim keeps
	// in its volume; the oldest go first, so it should be more than what a few of
	// them print. The volume must hold besides what the commands that run may
	// print (Command.MaxOutput each), and 16 MiB. Defaults to 512 MiB; negative
	// means no limit.
	//
	// A shim that runs keeps the Linger, Retention, MaxEnded and MaxEndedBytes
	// that it was started with.
	MaxEndedBytes int64
	// Direct has every command run in direct mode, see the package comment.
	Direct bool
	// SpoolDir is the folder for output that outgrows memory. Defaults to
	// os.TempDir.
	SpoolDir string
	// OnError is told about failures in the background, such as a watch that
	// broke and is made anew. It may be called concurrently. Defaults to
	// nothing.
	OnError func(error)
	// Observer is told of shims. Defaults to none.
	Observer Observer
	// TracerProvider takes spans of each Execute, below that in its context:
	// what it takes to reach the shim, and the exec stream. Defaults to none,
	// which costs nothing.
	TracerProvider trace.TracerProvider
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Namespace == "" {
		out.Namespace = "default"
	}
	if out.Version == "" {
		out.Version = "dev"
	}
	if out.SyncTimeout <= 0 {
		out.SyncTimeout = 30 * time.Second
	}
	if out.Patience == 0 {
		out.Patience = 15 * time.Second
	}
	if out.ReadyTimeout <= 0 {
		out.ReadyTimeout = 30 * time.Second
	}
	if out.Linger == 0 {
		out.Linger = time.Second
	}
	if out.Retention == 0 {
		out.Retention = time.Hour
	}
	if out.MaxEnded <= 0 {
		out.MaxEnded = 1024
	}
	if out.MaxEndedBytes == 0 {
		out.MaxEndedBytes = 512 << 20
	}
	if out.OnError == nil {
		out.OnError = func(error) {}
	}
	if out.Observer == nil {
		out.Observer = noObserver{}
	}
	return out
}

func (o Options) validate() error {
	if problems := validation.IsDNS1123Label(o.Namespace); len(problems) > 0 {
		return fmt.Errorf("options: Namespace %q: %w", o.Namespace, errors.New(problems[0]))
	}
	return nil
}

// userAgent is what API servers and their audit logs see.
func (o Options) userAgent() string {
	return fmt.Sprintf("rdev/%s (%s/%s)", o.Version, runtime.GOOS, runtime.GOARCH)
}
