package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/internal/pgtest"
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

// TestARealServerLogsWhatAFailureIsAbout takes the database from under a
// command that prints: the line about its output, which waits, says whose it is.
func TestARealServerLogsWhatAFailureIsAbout(t *testing.T) {
	is := is.New(t)
	at, err := url.Parse(pgtest.New(t, nil))
	is.NoErr(err)
	var away atomic.Bool
	proxy := faultproxy.New(t, at.Host, func(int) faultproxy.Fault { return faultproxy.Fault{Refuse: away.Load()} })
	at.Host = proxy.Addr()
	p := startProcess(t, "RDEV_DATABASE_URL="+at.String(), "RDEV_POLICY=permissive")
	flag := filepath.Join(t.TempDir(), "flag")
	body, err := json.Marshal(map[string]any{"command": "while [ ! -e " + flag + " ]; do sleep 0.05; done; echo late"})
	is.NoErr(err)
	status, answer := p.ask("POST", "/projects/here/shell", string(body), "X-Request-Id", "request-of-the-test")
	is.Equal(status, http.StatusCreated)
	var created struct {
		Data struct{ ID string }
	}
	is.NoErr(json.Unmarshal([]byte(answer), &created))

	away.Store(true)
	proxy.CutAll()
	is.NoErr(os.WriteFile(flag, nil, 0o600))
	p.until("the failure is logged", func() bool {
		for line := range strings.Lines(p.said.String()) {
			var l struct {
				Message, Request_ID, Key_ID, Project, Command, Error string
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Message == "in the background" && l.Command == created.Data.ID {
				is.Equal(l.Request_ID, "request-of-the-test")
				is.Equal(l.Key_ID, "admin")
				is.Equal(l.Project, "here")
				is.True(strings.Contains(l.Error, "trying again"))
				return true
			}
		}
		return false
	})
	away.Store(false)
	var events string
	p.until("the line is there", func() bool {
		_, events = p.ask("GET", "/projects/here/events?stream_id="+created.Data.ID, "")
		return strings.Contains(events, "event: complete")
	})
	is.True(strings.Contains(events, `"line":"late"`)) // nothing was lost
	is.True(!strings.Contains(p.said.String(), sharedKey))
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
