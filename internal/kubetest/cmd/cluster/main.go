// Command cluster gives a person the cluster that the tests use: it prints the
// path of a kubeconfig and keeps the cluster until Ctrl-C.
//
//	go run ./internal/kubetest/cmd/cluster            # until Ctrl-C
//	go run ./internal/kubetest/cmd/cluster -prepare   # fill the cache, start nothing
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/orchard9/rdev/internal/kubetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the path of the kubeconfig, and nothing else, to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	prepare := flags.Bool("prepare", false, "install packages, build Kubernetes and the Debian image, and end")
	debian := flags.Bool("debian", true, "have the Debian image in the cluster")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := kubetest.ConfigFromEnv()
	if err != nil {
		return err
	}
	cfg.Kubeconfig = "" // somebody who has a cluster does not ask for one
	if *prepare {
		return kubetest.Prepare(ctx, cfg)
	}
	c, err := kubetest.Start(ctx, cfg)
	if err != nil {
		return err
	}
	if *debian {
		if err := c.Load(ctx, kubetest.Debian); err != nil {
			return joinStop(err, c)
		}
	}
	fmt.Fprintln(stdout, c.Kubeconfig())
	fmt.Fprintf(stderr, "\nkubectl: %s\nlogs:    %s/log\nimages:  %s %s %s %s\n",
		c.Kubectl(), c.Dir(), c.Reference(kubetest.Busybox), c.Reference(kubetest.Debian),
		c.Reference(kubetest.NoShell), c.Reference(kubetest.ReadOnly))
	fmt.Fprintln(stderr, "pods:    set spec.nodeName: localhost, hostNetwork: true, automountServiceAccountToken: false")
	fmt.Fprintln(stderr, "Ctrl-C ends the cluster.")
	<-ctx.Done()
	return c.Stop()
}

func joinStop(err error, c *kubetest.Cluster) error {
	if stopErr := c.Stop(); stopErr != nil {
		return fmt.Errorf("%w; %w", err, stopErr)
	}
	return err
}
