package server

import (
	"cmp"
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
		s.logPanic(x, v)
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
	x.endSpan()
	event := s.cfg.Log.Info()
	if x.status >= http.StatusInternalServerError {
		event = s.cfg.Log.Error()
	}
	if event == nil {
		return
	}
	event.Str("method", x.method).Int("status", x.status).Int64("bytes", x.written).Dur("duration_ms", time.Since(x.began))
	x.tell(func(field, value string) { event.Str(field, value) })
	if x.status >= http.StatusInternalServerError {
		event.AnErr("error", x.cause)
	}
	event.Msg("request")
}

// tell names what the request is about, as far as it is known.
func (x *exchange) tell(add func(field, value string)) {
	add("request_id", x.id)
	if x.route != nil {
		add("route", x.route.path)
		if name := x.project(); rdev.ValidProjectName(name) {
			add("project", name)
		}
		if id := cmp.Or(x.command(), x.commandID); exec.ValidID(id) {
			add("command", id)
		}
	}
	if x.addr.IsValid() {
		add("from", x.addr.String())
	}
	for _, field := range []struct{ name, value string }{
		{"key_id", x.caller.KeyID}, {"code", x.code}, {"refused", string(x.reason)}, {"trace_id", x.traceID()},
	} {
		if field.value != "" {
			add(field.name, field.value)
		}
	}
}

// logPanic writes where v was thrown.
func (s *Server) logPanic(x *exchange, v any) {
	event := s.cfg.Log.Error()
	x.tell(func(field, value string) { event.Str(field, value) })
	event.Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("panic")
}

// errorLog gives net/http's own complaints to the log.
type errorLog struct{ log *zerolog.Logger }

// Write implements io.Writer. Most of what comes here is what strangers cause.
func (l errorLog) Write(b []byte) (int, error) {
	l.log.Warn().Str("source", "net/http").Msg(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (s *Server) errorLog() *log.Logger { return log.New(errorLog{s.cfg.Log}, "", 0) }
