package main

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

// newLogger returns the server's log: lines for people on a terminal, JSON
// elsewhere, unless the settings say which.
func newLogger(w io.Writer, c Config, getenv func(string) string) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil { // Config.check has looked
		level = zerolog.InfoLevel
	}
	if c.LogFormat == "console" || c.LogFormat == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{
			Out:        w,
			TimeFormat: time.TimeOnly,
			NoColor:    paint(w, getenv, dim, "") == "",
		}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
