package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"

	"github.com/orchard9/rdev/exec/shim"
)

// A Program is one that has this package's commands.
type Program struct {
	// Self calls it again: {"/usr/bin/rdev", "shim"}. Required.
	Self []string
	// Build says which program it is, for people.
	Build string

	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Run executes the command in args, and returns when it has done its work.
func (p Program) Run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want a command: serve, connect or prepare")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	config := Config{Build: p.Build}
	flags.StringVar(&config.Dir, "dir", "", "the state folder")
	flags.DurationVar(&config.IdleExit, "idle-exit", 0, "end after so long without use; negative: never")
	flags.DurationVar(&config.Linger, "linger", 0, "how long children that hold the output open may outlive their command")
	flags.DurationVar(&config.Retention, "retention", 0, "how long ended commands are remembered")
	flags.IntVar(&config.MaxEnded, "max-ended", 0, "how many ended commands are remembered; negative: no limit")
	flags.Int64Var(&config.MaxEndedBytes, "max-ended-bytes", 0, "bytes of output of ended commands that are kept; negative: no limit")
	flags.Int64Var(&config.MinFree, "min-free", 0, "bytes of the disk that stay free")
	flags.BoolVar(&config.Volatile, "volatile", false, "the state is of no use after the machine went down: do not fsync it")
	origin := flags.String("origin", "", "connect, prepare: what prepare has said; fail in another run of the container")
	var tenant tenant
	flags.StringVar(&tenant.owner, "owner", "", "prepare: what this is a run of, in one word")
	flags.IntVar(&tenant.generation, "generation", 0, "prepare: which run, by number")
	describe := flags.Bool("describe", false, "prepare: say more, and stay until the end of stdin")
	detach := flags.Bool("detach", false, "serve: start in the background")
	ready := flags.Bool("ready", false, "serve: be what --detach starts")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("what is %q?", flags.Arg(0))
	case config.Dir == "":
		return errors.New("--dir is required")
	}
	switch args[0] {
	case "connect":
		if *origin != "" {
			if _, err := settle(config.Dir, *origin); err != nil {
				return err
			}
		}
		return p.connect(ctx, config)
	case "prepare":
		return p.prepare(config.Dir, *origin, tenant, *describe)
	case "serve":
	default:
		return fmt.Errorf("there is no command %q: want serve, connect or prepare", args[0])
	}
	if *detach {
		return p.spawn(config)
	}
	if *ready {
		return serveDetached(ctx, config)
	}
	config.Log = p.Stderr
	tuneMemory()
	return Serve(ctx, config, func() {})
}

// A Description is what prepare says of where it runs, as one line of JSON, with
// --describe: for containers without a shell that could be asked.
type Description struct {
	Origin string   `json:"origin"`
	Dir    []byte   `json:"dir"` // the working folder
	Env    [][]byte `json:"env"` // "K=V"
}

// tuneMemory makes the process small: what it does most is to wait.
func tuneMemory() { debug.SetGCPercent(50) }

// prepare makes the state folder, and says in which run, or a Description.
func (p Program) prepare(dir, wanted string, t tenant, describe bool) error {
	origin, err := settle(dir, wanted)
	if err != nil {
		return err
	}
	if t.isKnown() {
		t.moveIn(dir)
		t.tidy(dir, p.Self[0])
	}
	if !describe {
		_, err = fmt.Fprintln(p.Stdout, origin)
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	d := Description{Origin: origin, Dir: []byte(here)}
	for _, kv := range os.Environ() {
		d.Env = append(d.Env, []byte(kv))
	}
	if err := json.NewEncoder(p.Stdout).Encode(d); err != nil {
		return err
	}
	// An exec that ends at once may lose what it wrote. Who has it ends this.
	_, _ = io.Copy(io.Discard, p.Stdin)
	return nil
}

// connect connects stdin and stdout to the daemon until either side ends: if
// they are pipes, by handing them over, so that it only has to wait. Otherwise
// what is read from a connection that the daemon has closed is still written.
func (p Program) connect(ctx context.Context, config Config) error {
	start := config.start()
	start.Command = p.Self
	conn, err := Dial(ctx, config.Dir, start)
	if err != nil {
		return err
	}
	tuneMemory()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	handed, err := shim.HandOver(conn, p.Stdin, p.Stdout)
	if err != nil {
		return err
	}
	if handed {
		_, err = io.Copy(io.Discard, conn) // ends with the connection
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	}
	go func() {
		// Ends with the process, or with its stdin.
		_, _ = io.Copy(conn, p.Stdin)
		conn.Close()
	}()
	_, err = io.Copy(p.Stdout, conn)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
