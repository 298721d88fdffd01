package local

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/orchard9/rdev/exec/shim"
	"github.com/orchard9/rdev/exec/shim/daemon"
)

// Shim says how the daemon of the state folder is started and left.
type Shim struct {
	// Command is a program that has the commands of exec/shim/daemon, with the
	// arguments before them: {"/usr/bin/rdev", "shim"}. It need not exist any
	// more when the daemon runs. Required.
	Command []string
	// Leave says that Close leaves the commands running, for another Executor
	// to follow them. Without it Close cancels them and ends the daemon.
	Leave bool
	// IdleExit is how long the daemon stays without commands that run and
	// without an Executor. Defaults to five minutes; negative means for ever.
	IdleExit time.Duration
}

// startWait is how long New waits for the daemon.
const startWait = time.Minute

// remote is the runner in a daemon.
type remote struct {
	*shim.Client
	leave bool
}

func openDaemon(config Config) (runner, error) {
	start := daemon.Start{
		Command:   config.Shim.Command,
		IdleExit:  config.Shim.IdleExit,
		Linger:    config.Linger,
		Retention: config.Retention,
		MinFree:   config.MinFree,
	}
	dial := func(ctx context.Context) (io.ReadWriteCloser, error) {
		return daemon.Dial(ctx, config.Dir, start)
	}
	// Once here, so that what is wrong is said now and not at the first command.
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	conn.Close()
	client, err := shim.NewClient(shim.ClientConfig{Dial: dial, Env: config.Env, Replace: true})
	if err != nil {
		return nil, err
	}
	return remote{client, config.Shim.Leave}, nil
}

func (r remote) instance(ctx context.Context) (string, error) { return r.Incarnation(ctx) }

func (r remote) close(ctx context.Context) error {
	var err error
	if !r.leave {
		err = r.Stop(ctx)
	}
	r.Close()
	if errors.Is(err, shim.ErrClosed) { // before
		return nil
	}
	return err
}

func (r remote) forget(ctx context.Context, id string) error { return r.Forget(ctx, id) }
