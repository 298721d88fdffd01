//go:build !linux

package kubetest

import (
	"context"
	"errors"
)

var errLinux = errors.New("kubetest: a cluster can be started on Linux only; name an existing one (kind, k3d) in RDEV_TEST_KUBECONFIG")

func startOwn(context.Context, Config) (*Cluster, error) { return nil, errLinux }

func prepareOwn(context.Context, Config) error { return errLinux }

func sweepOwn(context.Context, Config) error { return nil }
