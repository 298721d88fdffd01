package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
)

func TestTheLogsLevelIsASetting(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1} {
		is := is.New(t)
		var out bytes.Buffer
		log := newLogger(&out, Config{LogLevel: level, LogFormat: "json"}, vars(), nil)
		log.Debug().Msg("x")
		log.Info().Msg("x")
		log.Warn().Msg("x")
		log.Error().Msg("x")
		is.Equal(strings.Count(out.String(), "\n"), want)
	}
}

func TestTheLogsFormatIsASetting(t *testing.T) {
	for format, isJSON := range map[string]bool{"json": true, "console": false, "auto": true} { // a buffer is no terminal
		is := is.New(t)
		var out bytes.Buffer
		log := newLogger(&out, Config{LogLevel: "info", LogFormat: format}, vars(), nil)
		log.Info().Str("project", "web").Msg("hello")
		is.Equal(json.Valid(out.Bytes()), isJSON)
		is.True(strings.Contains(out.String(), "hello"))
		is.True(strings.Contains(out.String(), "web"))
	}
}

func TestBackgroundFailuresAreLoggedWithWhatTheyAreAbout(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	log := newLogger(&out, Config{LogLevel: "info", LogFormat: "json"}, vars(), nil)
	failed := background(&log)
	failed(fmt.Errorf("outside: %w", &rdev.CommandError{
		CommandID: "cmd-1", Project: "web", KeyID: "4fQ0aB7xYz12", RequestID: "request-1", TraceID: "0af7651916cd43dd8448eb211c80319c",
		Err: errors.New("the store is away"),
	}))
	var l map[string]string
	is.NoErr(json.Unmarshal(out.Bytes(), &l))
	delete(l, "time")
	is.Equal(l, map[string]string{
		"level": "error", "message": "in the background", "error": "outside: the store is away",
		"command": "cmd-1", "project": "web", "key_id": "4fQ0aB7xYz12", "request_id": "request-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
	})
	out.Reset()
	failed(errors.New("of nothing in particular"))
	is.True(!strings.Contains(out.String(), `"command"`))
}

// TestALevelHoldsInARealServer: at error a server says nothing of requests that
// went well.
func TestALevelHoldsInARealServer(t *testing.T) {
	is := is.New(t)
	p := startProcess(t, "RDEV_LOG_LEVEL=error")
	status, _ := p.ask("GET", "/projects", "")
	is.Equal(status, 200)
	p.terminate()
	is.Equal(p.ended(), 0)
	is.True(!strings.Contains(p.said.String(), `"level"`))
}
