package kubetest

import (
	"context"
	"fmt"
	"path/filepath"
)

func (o *own) startControllers(ctx context.Context) error {
	built, err := kubeBinaries(ctx, o.cfg, "controllers")
	if err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	o.controllers = built
	for _, p := range []Part{ControllerManager, Scheduler} {
		if o.signal(p, 0) == nil {
			continue // it runs
		}
		if err := o.start(ctx, p); err != nil {
			return fmt.Errorf("kubetest: %w", err)
		}
	}
	return nil
}

// controllerArgv is what the command lines of both have in common. There is one
// of each, so none has to be elected.
func (o *own) controllerArgv(program string, port int) []string {
	return []string{filepath.Join(o.controllers, program),
		"--kubeconfig=" + filepath.Join(o.slot.dir, "admin.kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", o.slot.port(port)),
		"--tls-cert-file=" + o.ca.path("apiserver.crt"), "--tls-private-key-file=" + o.ca.path("apiserver.key")}
}
