package exec

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a Command. Validate refuses what lies outside.
const (
	MaxIDLength  = 128       // bytes
	MaxArgs      = 4096      // elements of Argv
	MaxArgBytes  = 128 << 10 // bytes of all of Argv; Linux allows 128 KiB for one argument
	MaxEnvVars   = 256       // entries of Env
	MaxEnvBytes  = 64 << 10  // bytes of all names and values of Env
	MaxStdin     = 4 << 20   // bytes of Stdin
	MaxDirLength = 4096      // bytes of Dir
)

// Values that stand in for the zero value of a Command's fields.
const (
	DefaultGrace     = 5 * time.Second
	DefaultMaxOutput = 256 << 20 // bytes
)

// MaxLine is the longest Data of one Line in bytes; a longer line is several
// Lines, Partial on all but the last.
const MaxLine = 64 << 10

// A Command is what an Executor runs: one program with its arguments, never a
// line for a shell.
type Command struct {
	// ID names the command, unique for ever: 1 to 128 of [a-z0-9._-], not
	// beginning with a dot. Required.
	ID string `json:"id"`
	// Target is where it runs. Required.
	Target Target `json:"target"`
	// Argv is the program and its arguments. A program without a slash is
	// looked up in the PATH of the target. Required.
	Argv []string `json:"argv"`
	// Env is added to the target's environment.
	Env map[string]string `json:"env,omitempty"`
	// Dir is the working folder, relative to the target's workspace, which it
	// may not leave. Defaults to the workspace.
	Dir string `json:"dir,omitempty"`
	// Stdin is what the command reads on its standard input, whole. With nil
	// it reads /dev/null.
	Stdin []byte `json:"stdin,omitempty"`
	// Timeout ends the command after that time, as Cancel does. Zero means
	// never.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Grace is the time between TERM and KILL. Defaults to DefaultGrace;
	// negative means none.
	Grace time.Duration `json:"grace,omitempty"`
	// MaxOutput is how many bytes of output are kept, both streams together.
	// What comes after is counted and thrown away, and the Result says
	// Truncated. Defaults to DefaultMaxOutput; negative means no limit.
	MaxOutput int64 `json:"max_output,omitempty"`

	// After is the Seq of the last Line that the caller has. It is no part of
	// the specification.
	After uint64 `json:"-"`
	// Resume says that the command may have been started before, by a call that
	// the caller knows nothing more of: one of a process that has died. If its
	// ID is known it is followed, as ever. If not, it is started only where the
	// executor is certain that it never was; else Execute returns
	// ErrOutcomeUnknown or ErrLost, and so it does if ctx has ended. After > 0
	// says that it was started: it is not started again, with Resume or without.
	//
	// Of such a command, ErrNotStarted, ErrTargetNotReady and ErrTargetNotFound
	// say only that this call has neither found nor started it: it may be
	// running. Resume is no part of the specification.
	Resume bool `json:"-"`
}

// WithDefaults returns the command with the defaults of its zero fields.
func (c Command) WithDefaults() Command {
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = DefaultMaxOutput
	}
	return c
}

// Validate checks everything that can be checked without the target. Its error
// wraps ErrInvalidCommand and is a *FieldError.
func (c Command) Validate() error {
	switch {
	case !ValidID(c.ID):
		return fieldErrorf("id", "want 1 to %d of [a-z0-9._-], not beginning with a dot", MaxIDLength)
	case c.Target.Name == "":
		return fieldErrorf("target", "is empty")
	case len(c.Argv) == 0 || c.Argv[0] == "":
		return fieldErrorf("argv", "is empty: there is no program to run")
	case len(c.Argv) > MaxArgs:
		return fieldErrorf("argv", "has %d elements, at most %d are allowed", len(c.Argv), MaxArgs)
	case len(c.Env) > MaxEnvVars:
		return fieldErrorf("env", "has %d entries, at most %d are allowed", len(c.Env), MaxEnvVars)
	case len(c.Stdin) > MaxStdin:
		return fieldErrorf("stdin", "has %d bytes, at most %d are allowed", len(c.Stdin), MaxStdin)
	case len(c.Dir) > MaxDirLength:
		return fieldErrorf("dir", "has %d bytes, at most %d are allowed", len(c.Dir), MaxDirLength)
	case c.Timeout < 0:
		return fieldErrorf("timeout", "is negative")
	}
	size := 0
	for i, arg := range c.Argv {
		if err := checkText(fmt.Sprintf("argv[%d]", i), arg); err != nil {
			return err
		}
		size += len(arg) + 1
	}
	if size > MaxArgBytes {
		return fieldErrorf("argv", "has %d bytes, at most %d are allowed", size, MaxArgBytes)
	}
	if err := c.validateEnv(); err != nil {
		return err
	}
	return c.validateDir()
}

// validateDir finds the ways out of the workspace that the name itself shows;
// links are the target's to see.
func (c Command) validateDir() error {
	if err := checkText("dir", c.Dir); err != nil {
		return err
	}
	dir := path.Clean(c.Dir)
	if path.IsAbs(dir) || dir == ".." || strings.HasPrefix(dir, "../") {
		return fieldErrorf("dir", "is not within the workspace")
	}
	return nil
}

func (c Command) validateEnv() error {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if name == "" || strings.Contains(name, "=") {
			return fieldErrorf("env", "has a name that is empty or holds a =")
		}
		if err := checkText("env", name); err != nil {
			return err
		}
		if err := checkText("env."+name, c.Env[name]); err != nil {
			return err
		}
		size += len(name) + len(c.Env[name]) + 2
	}
	if size > MaxEnvBytes {
		return fieldErrorf("env", "has %d bytes, at most %d are allowed", size, MaxEnvBytes)
	}
	return nil
}

// ValidID reports whether id can name a command.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxIDLength || id[0] == '.' {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

func checkText(field, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fieldErrorf(field, "holds a NUL byte")
	}
	if !utf8.ValidString(s) {
		return fieldErrorf(field, "is not valid UTF-8")
	}
	return nil
}

// Digest identifies the specification: two commands with the same ID and
// Digest are the same command. Target.Instance, After and Resume are no part of
// it.
func (c Command) Digest() string {
	c = c.WithDefaults()
	h := sha256.New()
	write := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	number := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	write([]byte(c.ID))
	write([]byte(c.Target.Name))
	number(int64(len(c.Argv)))
	for _, arg := range c.Argv {
		write([]byte(arg))
	}
	number(int64(len(c.Env)))
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		write([]byte(name))
		write([]byte(c.Env[name]))
	}
	write([]byte(c.Dir))
	if c.Stdin == nil {
		number(-1)
	} else {
		write(c.Stdin)
	}
	number(int64(c.Timeout))
	number(int64(c.Grace))
	number(c.MaxOutput)
	return hex.EncodeToString(h.Sum(nil))
}
