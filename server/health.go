package server

import (
	"errors"
	"net/http"

	"github.com/orchard9/rdev/rdev"
)

type healthData struct {
	Status string `json:"status"`
}

// healthz says that the process answers.
func (*Server) healthz(x *exchange) error {
	return x.reply(http.StatusOK, healthData{"ok"})
}

// readyz says whether requests should be sent here.
func (s *Server) readyz(x *exchange) error {
	err := s.cfg.Ready(x.r.Context())
	if s.readers.isDraining() {
		err = errors.New("server: draining")
	}
	if err != nil {
		s.fail(x, &apiError{code: rdev.CodeUnavailable, message: "not ready"})
		x.cause = err
		return nil
	}
	return x.reply(http.StatusOK, healthData{"ready"})
}
