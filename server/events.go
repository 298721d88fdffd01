package server

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/orchard9/rdev/rdev"
)

// events streams the events of a command.
func (s *Server) events(x *exchange) error {
	if !acceptsEvents(x.r.Header) {
		return &apiError{code: rdev.CodeNotAcceptable, message: "this route answers with text/event-stream"}
	}
	values, err := x.query("stream_id", lastEventIDParam)
	if err != nil {
		return err
	}
	streamID := values.Get("stream_id")
	if streamID == "" {
		return invalid("stream_id", "is missing")
	}
	at, err := readCursor(x, values, streamID)
	if err != nil {
		return err
	}
	sub, cmd, err := s.svc.Subscribe(x.r.Context(), x.caller, x.project(), streamID, at.Seq)
	if err != nil {
		return err
	}
	x.concerns(cmd)
	head := sub.Head()
	verdict, err := decide(at, head, cmd.State)
	if err != nil {
		sub.Close()
		if errors.Is(err, errFinished) {
			x.WriteHeader(http.StatusNoContent)
			return nil
		}
		return err
	}
	return s.stream(x, sub, at, head, verdict, waitsFor(cmd, head.Seq))
}

// acceptsEvents reports whether the caller takes text/event-stream. Without an
// Accept header it takes anything.
func acceptsEvents(h http.Header) bool {
	accepts := h.Values("Accept")
	if len(accepts) == 0 {
		return true
	}
	for _, header := range accepts {
		for accepted := range strings.SplitSeq(header, ",") {
			media, params, err := mime.ParseMediaType(accepted)
			if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
				continue
			}
			if media == "text/event-stream" || media == "text/*" || media == "*/*" {
				return true
			}
		}
	}
	return false
}
