package sqlite

import (
	"cmp"
	"errors"
	"time"

	"github.com/orchard9/rdev/stream"
)

// defaultTimeout bounds what is asked of a file.
const defaultTimeout = 5 * time.Second

// Options are the settings of a Store. The zero value, and nil, mean the
// defaults.
type Options struct {
	// MaxAge is how long output is kept. Defaults to 7 days; negative means
	// for ever. A finished stream whose output is gone is remembered for that
	// long again, so that its readers are told.
	MaxAge time.Duration
	// MaxBytes is how much output is kept: beyond it the output of finished
	// streams goes, the one that ended first before others, then the oldest of
	// running ones. Defaults to 1 GiB; negative means no limit.
	MaxBytes int64
	// CommandAge is how long the records of ended commands are kept. Defaults
	// to MaxAge; negative means for ever.
	CommandAge time.Duration
	// RetainEvery is the time between two enforcements of these limits.
	// Defaults to one minute; negative means that only Retain enforces them.
	// MaxBytes is enforced as soon as it is exceeded, too.
	RetainEvery time.Duration

	// Timeout bounds what is asked of the file with a context without
	// deadline, and how long a lock of another program is awaited, whatever the
	// context. Defaults to 5 s.
	Timeout time.Duration
	// Readers is how many connections read at the same time, beside the one
	// that writes. Defaults to 4.
	Readers int
	// Hub configures what is held in memory of recent events. Its Log is set
	// by the Store.
	Hub stream.HubConfig

	// Now is the clock of retention. Defaults to time.Now.
	Now func() time.Time
	// OnError is told of failures in the background that no caller sees. It
	// must not block. Defaults to none.
	OnError func(error)
}

func (o *Options) withDefaults() Options {
	var options Options
	if o != nil {
		options = *o
	}
	options.MaxAge = cmp.Or(options.MaxAge, 7*24*time.Hour)
	options.MaxBytes = cmp.Or(options.MaxBytes, 1<<30)
	options.CommandAge = cmp.Or(options.CommandAge, options.MaxAge)
	options.RetainEvery = cmp.Or(options.RetainEvery, time.Minute)
	options.Timeout = cmp.Or(options.Timeout, defaultTimeout)
	options.Readers = cmp.Or(options.Readers, 4)
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.OnError == nil {
		options.OnError = func(error) {}
	}
	return options
}

func (o Options) validate() error {
	switch {
	case o.Timeout < 0:
		return errors.New("Options.Timeout is negative")
	case o.Readers < 0:
		return errors.New("Options.Readers is negative")
	}
	return nil
}
