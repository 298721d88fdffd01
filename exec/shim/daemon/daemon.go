// Package daemon is the shim as a process of its own: it hosts the engine of
// one state folder, outlives those who use it, and ends when nobody does.
//
// In the state folder, beside what the engine keeps there, are
//
//	socket       unix socket of the daemon, for its user alone
//	start.lock   held with flock by whoever starts a daemon
//	shim.log     what the daemon had to say, of bounded length
//	origin       in a container: in which run of it the folder was made
//	owner        likewise: which container that was, and how often it had restarted
//
// Two programs have this package's commands, so that either can be given as
// Config.Command: rdev (`rdev shim …`) and the small static exec/shim/cmd/rdev-shim.
//
//	serve --dir D            be the daemon, in the foreground
//	serve --dir D --detach   start one, and return when it can be reached
//	connect --dir D          connect stdin and stdout to it; start it first if need be
//	prepare --dir D          make the folder, and say in which run of the container,
//	                         with --describe also the environment and the folder there
//
// A daemon that runs keeps the settings that it was started with. With --owner and
// --generation prepare deletes state folders that earlier runs of the same
// container have left beside D, and programs of other builds beside its own.
//
// With --origin and what prepare has said, the last two refuse to work in another
// run (ErrElsewhere, ExitElsewhere). A container that has restarted has the folder
// of its last run in a volume, and whoever comes in by name may not know yet.
//
// A process manager that ends all processes of a unit (systemd, unless its
// KillMode says otherwise) ends a daemon that was started there, and with it the
// commands: its SIGTERM cancels them.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/orchard9/rdev/exec/shim"
)

// Config of a daemon.
type Config struct {
	// Dir is the state folder. Required.
	Dir string
	// Build says which program this is, for people.
	Build string
	// IdleExit is how long the daemon stays without commands that run and
	// without connections. Defaults to five minutes; negative means for ever.
	IdleExit time.Duration
	// These are those of shim.Options.
	Linger        time.Duration
	Retention     time.Duration
	MaxEnded      int
	MaxEndedBytes int64
	MinFree       int64
	Volatile      bool
	// Log takes what the daemon has to say. Defaults to nowhere.
	Log io.Writer
}

// start says how a daemon with this Config is started.
func (c Config) start() Start {
	return Start{
		IdleExit:      c.IdleExit,
		Linger:        c.Linger,
		Retention:     c.Retention,
		MaxEnded:      c.MaxEnded,
		MaxEndedBytes: c.MaxEndedBytes,
		MinFree:       c.MinFree,
		Volatile:      c.Volatile,
	}
}

const (
	defaultIdleExit = 5 * time.Minute
	// lookEvery is how often the daemon looks whether it is of any use.
	lookEvery = 5 * time.Second
	// closeWait is how long commands have for their grace when a signal ends
	// the daemon.
	closeWait = 30 * time.Second
	// tellWait is how long outcomes have to reach those who follow commands.
	tellWait = 5 * time.Second
	// giveWay is what the last output of a command takes, about, through the
	// five processes between a container and its reader.
	giveWay = time.Millisecond
	// commandOOMScore has the kernel end commands before their supervisor.
	commandOOMScore = 500

	socketName = "socket"
)

// giveWay: where the state goes with its container, readers are elsewhere.
func (c Config) giveWay() time.Duration {
	if c.Volatile {
		return giveWay
	}
	return 0
}

// Serve hosts the engine of the state folder until ctx ends, SIGTERM comes, a
// client wants it gone, nobody has used it for IdleExit, or the folder was
// deleted. It calls ready when it can be reached. The error wraps
// shim.ErrInUse while another process has the folder.
//
// It makes its process a child subreaper, and is therefore for a process that
// does nothing else. ctx's end and SIGTERM cancel all commands.
func Serve(ctx context.Context, config Config, ready func()) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("exec/shim/daemon: %w", err)
		}
	}()
	if config.Dir == "" {
		return errors.New("config: Dir is required")
	}
	if config.IdleExit == 0 {
		config.IdleExit = defaultIdleExit
	}
	if config.Log == nil {
		config.Log = io.Discard
	}
	// The folder it was started in may be deleted or unmounted.
	if config.Dir, err = filepath.Abs(config.Dir); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	// Not signal.Ignore: commands would inherit that.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	defer signal.Stop(ignored)
	subreaper := shim.BecomeSubreaper() == nil
	engine, err := shim.Open(config.Dir, &shim.Options{
		Linger:        config.Linger,
		Retention:     config.Retention,
		MaxEnded:      config.MaxEnded,
		MaxEndedBytes: config.MaxEndedBytes,
		MinFree:       config.MinFree,
		Volatile:      config.Volatile,
		Subreaper:     subreaper,
		OOMScore:      commandOOMScore,
		GiveWay:       config.giveWay(),
	})
	if err != nil {
		return err
	}
	d := &daemon{Config: config, engine: engine, log: log.New(config.Log, "", log.LstdFlags|log.LUTC), drained: make(chan struct{}, 1), quiet: time.Now()}
	defer d.log.Print("ended")
	defer d.close()
	return d.serve(ctx, ready)
}

// A daemon is one that serves.
type daemon struct {
	Config
	engine  *shim.Engine
	server  *shim.Server
	log     *log.Logger
	drained chan struct{}
	quiet   time.Time // when a command was last seen to run
}

// close ends what still runs.
func (d *daemon) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if err := d.engine.Close(ctx); err != nil {
		d.log.Print(err)
	}
}

func (d *daemon) serve(ctx context.Context, ready func()) error {
	d.server = shim.NewServer(d.engine, &shim.ServerOptions{Build: d.Build, Stop: func() {
		select {
		case d.drained <- struct{}{}:
		default:
		}
	}})
	listener, err := d.listen()
	if err != nil {
		return err
	}
	d.log.Printf("serving, process %d, build %q", os.Getpid(), d.Build)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() { failed <- d.server.Serve(serving, listener) })
	defer work.Wait()
	defer stop()
	ready()
	for draining := false; ; {
		look := time.NewTimer(d.pause(draining))
		select {
		case err := <-failed:
			look.Stop()
			return err
		case <-ctx.Done():
			look.Stop()
			d.log.Print("a signal ends it")
			// Now, that clients still listen and see how their commands end.
			d.close()
			return nil
		case <-d.drained:
			look.Stop()
			d.log.Print("draining")
			draining, d.quiet = true, time.Now()
		case <-look.C:
		}
		why := d.useless(draining)
		if why != "" {
			d.log.Print(why)
		}
		switch {
		case why == "":
		case why == idle:
			// Somebody may have come in this moment. Those who come from now on
			// are told that another daemon is to be started.
			draining = d.engine.DrainIdle()
			d.quiet = time.Now()
		default:
			return nil
		}
	}
}

// pause is how long to wait before the next look.
func (d *daemon) pause(draining bool) time.Duration {
	switch {
	case draining:
		return 20 * time.Millisecond
	case d.IdleExit > 0:
		return min(lookEvery, max(d.IdleExit/4, 10*time.Millisecond))
	}
	return lookEvery
}

// useless says why the daemon is to end, or returns "".
func (d *daemon) useless(draining bool) string {
	if _, err := os.Lstat(filepath.Join(d.Dir, socketName)); errors.Is(err, os.ErrNotExist) {
		return "the state folder was deleted: nobody can come any more"
	}
	if running, _ := d.engine.Count(); running > 0 {
		d.quiet = time.Now()
		return ""
	}
	if draining {
		if d.server.Followers() == 0 || time.Since(d.quiet) > tellWait {
			return "drained"
		}
		return ""
	}
	connections, since := d.server.Connections()
	if d.IdleExit > 0 && connections == 0 && time.Since(since) > d.IdleExit {
		return idle
	}
	return ""
}

// idle is the reason to end of a daemon that nobody uses.
const idle = "idle"

// listen makes the socket. One that is there is of a daemon that was killed:
// the engine's lock says that none is alive.
func (d *daemon) listen() (net.Listener, error) {
	if err := os.Remove(filepath.Join(d.Dir, socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return withSocketPath(d.Dir, func(path string) (net.Listener, error) {
		listener, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		// Strangers are refused by their user id before this, too.
		if err := os.Chmod(path, 0o600); err != nil {
			listener.Close()
			return nil, err
		}
		// The path may be one through /proc, and the next daemon removes it
		// anyway: to do so at the end could hit that one's.
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		return listener, nil
	})
}
