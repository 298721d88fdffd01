package shim

import "time"

// Options of an Engine. The zero value of each field means its default, a nil
// *Options all defaults.
type Options struct {
	// Env is the environment ("K=V") of all commands, to which Command.Env is
	// added. It must not hold secrets of the host. Defaults to a PATH of the
	// usual folders, HOME=/ and LANG=C.UTF-8.
	Env []string
	// Linger is how long children that hold the output open may outlive the
	// main process. Defaults to one second; negative means not at all.
	Linger time.Duration
	// Retention is how long an ended command is remembered, not counting the
	// time in which the engine was not open, or its Server had no connection.
	// One that is forgotten is started again by whoever executes it as a new
	// one, so it should be longer than a caller may take to ask again. Defaults
	// to one hour; negative means until Forget, or until the bounds below.
	Retention time.Duration
	// MaxEnded is how many ended commands are remembered; the oldest are
	// deleted first. There may be more for a while: each is remembered for a
	// minute, and four times as many if no follower was told how they ended.
	// Defaults to 4096; negative means no limit.
	MaxEnded int
	// MaxEndedBytes is how many bytes of output of ended commands are kept;
	// that of the oldest is deleted first. Where a command is to be remembered
	// longer than its output, to follow it is exec.ErrLost. Defaults to 4 GiB;
	// negative means no limit.
	MaxEndedBytes int64
	// MinFree is how many bytes must stay free on the disk of the state
	// folder: below it no command is started (exec.ErrNotStarted) and output
	// is thrown away (Result.Truncated). Defaults to 16 MiB; negative means
	// that the disk may be filled, though not begun on when it is full.
	MinFree int64
	// Subreaper says that this process is a child subreaper and exists to host
	// this engine alone. The engine then reaps the orphans that come to it and
	// counts them to the commands that they descend from. Without it, one that
	// has left its session is known by its environment alone, and not found if
	// that is wiped or may not be read: that of another user, or of a process
	// that hides its memory, as ssh-agent does. Linux only.
	Subreaper bool
	// Volatile says that the state is of no use after the machine went down,
	// as that of a container is, which went with it. Then nothing is fsynced
	// on a command's way. The death of the engine's process is survived all
	// the same.
	Volatile bool
	// OOMScore is added to the oom_score_adj of commands, so that the kernel,
	// when it is short of memory, ends them before their supervisor. Linux
	// only.
	OOMScore int
	// GiveWay is how long the end of a command waits that has printed something
	// as short a time before. Where several processes bring its output to the
	// reader, they then have the processors to themselves, which the work of the
	// end and the word of it would take from them. A command that is to end at
	// once does. Defaults to zero.
	GiveWay time.Duration

	keepRecord time.Duration // at least; tests do not have a minute
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Env == nil {
		out.Env = minimalEnv()
	}
	if out.Linger == 0 {
		out.Linger = time.Second
	}
	if out.Retention == 0 {
		out.Retention = time.Hour
	}
	if out.MaxEnded == 0 {
		out.MaxEnded = 4096
	}
	if out.MaxEndedBytes == 0 {
		out.MaxEndedBytes = 4 << 30
	}
	if out.keepRecord == 0 {
		out.keepRecord = redeliverFor
	}
	if out.MinFree == 0 {
		out.MinFree = 16 << 20
	}
	return out
}

// hasSpace reports whether the disk has more room than must stay free.
func (e *Engine) hasSpace() bool {
	return e.options.MinFree < 0 || freeBytes(e.dir) >= uint64(e.options.MinFree)
}

// startSpace is what a command needs on the disk in any case.
const startSpace = 64 << 10

// canStart reports whether a command would find room for its state.
func (e *Engine) canStart() bool {
	return freeBytes(e.dir) >= uint64(max(e.options.MinFree, startSpace))
}
