package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/rdev"
)

const (
	// readyTimeout is how long the parts have for an answer.
	readyTimeout = 5 * time.Second
	// readyFresh is how long an answer of the parts is used again: the route
	// asks for no key, and must not be a way to keep the stores busy.
	readyFresh = time.Second
)

type healthData struct {
	Status  string            `json:"status"`
	Version string            `json:"version,omitzero"`
	Parts   map[string]string `json:"parts,omitzero"`
}

// partsDetails are the details of UNAVAILABLE with GET /readyz?verbose.
type partsDetails struct {
	Parts map[string]string `json:"parts"`
}

// healthz says that the process answers.
func (*Server) healthz(x *exchange) error {
	return x.reply(http.StatusOK, healthData{Status: "ok"})
}

// readyz says whether requests should be sent here, and with ?verbose which
// part fails; how it fails is for the log.
func (s *Server) readyz(x *exchange) error {
	values, err := x.query("verbose")
	if err != nil {
		return err
	}
	parts, err := s.health.ask(x.r.Context(), s.cfg.Parts)
	err = errors.Join(err, s.cfg.Ready(x.r.Context()))
	parts["draining"] = "no"
	if s.leaving.Load() || s.readers.isDraining() {
		parts["draining"] = "yes"
		err = errors.Join(err, errors.New("server: draining"))
	}
	verbose := values.Has("verbose")
	if err != nil {
		failure := &apiError{code: rdev.CodeUnavailable, message: "not ready"}
		if verbose {
			failure.details = partsDetails{parts}
		}
		s.fail(x, failure)
		x.cause = err
		return nil
	}
	data := healthData{Status: "ready"}
	if verbose {
		data.Version, data.Parts = s.cfg.Version, parts
	}
	return x.reply(http.StatusOK, data)
}

// Leave makes GET /readyz say 503 from now on, and changes nothing else: it is
// for the moment in which the program knows that it will stop, so that requests
// are sent elsewhere while its commands end.
func (s *Server) Leave() { s.leaving.Store(true) }

// A health remembers what the parts answered last. The zero value is ready.
type health struct {
	mu    sync.Mutex
	asked time.Time
	parts map[string]string
	err   error
}

// ask returns "ok" or "failed" for each part, and why some failed. The map is
// the caller's.
func (h *health) ask(ctx context.Context, parts map[string]func(context.Context) error) (map[string]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parts == nil || time.Since(h.asked) > readyFresh {
		h.parts, h.err = askParts(context.WithoutCancel(ctx), parts)
		h.asked = time.Now()
	}
	answered := maps.Clone(h.parts)
	return answered, h.err
}

// askParts asks all parts at once. One that does not answer in time has failed.
func askParts(ctx context.Context, parts map[string]func(context.Context) error) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(parts))
	answers := make([]chan error, len(names))
	for i, name := range names {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- parts[name](ctx) }()
	}
	states := make(map[string]string, len(parts)+1)
	var failed error
	for i, name := range names {
		var err error
		select {
		case err = <-answers[i]:
		case <-ctx.Done():
			err = ctx.Err()
		}
		states[name] = "ok"
		if err != nil {
			states[name] = "failed"
			failed = errors.Join(failed, fmt.Errorf("server: %s is not ready: %w", name, err))
		}
	}
	return states, failed
}
