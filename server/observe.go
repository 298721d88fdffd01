package server

import (
	"errors"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
)

// An Observer is told what a Server does, for metrics. Its methods are called
// from many goroutines and must not block.
type Observer interface {
	// Answered is told of each response when it is over; of a stream, when
	// that has ended.
	Answered(Answer)
	// GapTold is told of each gap that a reader was told of.
	GapTold(*stream.GapError)
	// Lagged is told, for each reader at each heartbeat and when its stream
	// ends, how many events of the stream had not been sent to it yet.
	Lagged(events uint64)
}

// An Answer is what an Observer is told of a response. No field but Method
// holds what a caller chose.
type Answer struct {
	Method string
	// Route is the pattern of the path, "/projects/:project"; empty if there
	// was no such route.
	Route  string
	Status int
	// Code is that of the error that was answered, else empty.
	Code rdev.Code
	// Refused says why the key was refused, if it was; empty with
	// UNAUTHENTICATED, there was none.
	Refused auth.Reason
	// Rule is the policy's rule with COMMAND_REJECTED.
	Rule string
	// Limit is the limit that refused the request, if one did.
	Limit rdev.Limit
	// Streamed says that the answer was a stream, and Duration how long that
	// lasted.
	Streamed bool
	Duration time.Duration
}

type noObserver struct{}

func (noObserver) Answered(Answer)          {}
func (noObserver) GapTold(*stream.GapError) {}
func (noObserver) Lagged(uint64)            {}

// observe tells the Observer of a response that is over.
func (s *Server) observe(x *exchange) {
	a := Answer{Method: x.method, Status: x.status, Code: rdev.Code(x.code), Refused: x.reason, Duration: time.Since(x.began)}
	if x.route != nil {
		a.Route, a.Streamed = x.route.path, x.streamed
	}
	var refusal *policy.Refusal
	if errors.As(x.cause, &refusal) {
		a.Rule = refusal.Code
	}
	a.Limit = limitOf(x.cause)
	s.cfg.Observer.Answered(a)
}

// OpenStreams returns how many streams are open in each project that has any.
func (s *Server) OpenStreams() map[string]int {
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	open := make(map[string]int)
	for _, rd := range s.readers.open {
		open[rd.project]++
	}
	return open
}
