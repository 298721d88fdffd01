package server

import (
	"fmt"
	"log"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
)

// finish is what is left to do when a handler has returned or panicked. A
// panic is answered with INTERNAL if nothing was sent yet; else the response
// is cut, so that nobody takes it for whole.
func (s *Server) finish(x *exchange) {
	cut := false
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		cut = true
	default:
		s.cfg.Log.Error().Str("request_id", x.id).Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("panic")
		if cut = x.status != 0; !cut {
			s.fail(x, fmt.Errorf("server: panic: %v", v))
		} else {
			x.code = string(rdev.CodeInternal)
		}
	}
	if !x.taken {
		s.logRequest(x)
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// logRequest tells the Observer, and writes one event for the request. Nothing is in it that a caller
// chose freely: no query, no header, and of the path only the route and names
// that are well-formed, since people paste keys into the wrong places.
func (s *Server) logRequest(x *exchange) {
	s.observe(x)
	event := s.cfg.Log.Info()
	if x.status >= http.StatusInternalServerError {
		event = s.cfg.Log.Error()
	}
	if event == nil {
		return
	}
	event.Str("request_id", x.id).Str("method", x.method)
	if x.route != nil {
		event.Str("route", x.route.path)
		addName(event, "project", x.project(), rdev.ValidProjectName)
		addName(event, "command", x.command(), exec.ValidID)
	}
	event.Int("status", x.status).Int64("bytes", x.written).Dur("duration_ms", time.Since(x.began))
	if x.addr.IsValid() {
		event.Stringer("from", x.addr)
	}
	if x.caller.KeyID != "" {
		event.Str("key_id", x.caller.KeyID)
	}
	if x.code != "" {
		event.Str("code", x.code)
	}
	if x.reason != "" {
		event.Str("refused", string(x.reason))
	}
	if x.status >= http.StatusInternalServerError {
		event.AnErr("error", x.cause)
	}
	event.Msg("request")
}

func addName(event *zerolog.Event, field, name string, valid func(string) bool) {
	if valid(name) {
		event.Str(field, name)
	}
}

// errorLog gives net/http's own complaints to the log.
type errorLog struct{ log *zerolog.Logger }

// Write implements io.Writer. Most of what comes here is what strangers cause.
func (l errorLog) Write(b []byte) (int, error) {
	l.log.Warn().Str("source", "net/http").Msg(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (s *Server) errorLog() *log.Logger { return log.New(errorLog{s.cfg.Log}, "", 0) }
