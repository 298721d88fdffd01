package main

import (
	"errors"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/internal/mask"

	"github.com/orchard9/rdev/rdev"
)

// newLogger returns the server's log: lines for people on a terminal, JSON
// elsewhere, unless the settings say which. No secret is in it.
func newLogger(w io.Writer, c Config, getenv func(string) string, masks *mask.Set) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil { // Config.check has looked
		level = zerolog.InfoLevel
	}
	out := mask.NewWriter(w, masks)
	if c.LogFormat == "console" || c.LogFormat == "auto" && isTerminal(w) {
		out = zerolog.ConsoleWriter{
			Out:        out,
			TimeFormat: time.TimeOnly,
			NoColor:    paint(w, getenv, dim, "") == "",
		}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// background returns what logs failures that no caller sees, with what they are
// about.
func background(log *zerolog.Logger) func(error) {
	return func(err error) {
		event := log.Error()
		var about *rdev.CommandError
		if errors.As(err, &about) {
			for _, field := range []struct{ name, value string }{
				{"request_id", about.RequestID}, {"project", about.Project}, {"command", about.CommandID},
				{"key_id", about.KeyID}, {"trace_id", about.TraceID},
			} {
				if field.value != "" {
					event.Str(field.name, field.value)
				}
			}
		}
		event.Err(err).Msg("in the background")
	}
}
