package server

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/orchard9/rdev/rdev"
)

// events streams the events of a command.
func (s *Server) events(x *exchange) error {
	if !acceptsEvents(x.r.Header) {
		return &apiError{code: rdev.CodeNotAcceptable, message: "this route answers with text/event-stream"}
	}
	values, err := x.query("stream_id", lastEventIDParam, outputParam)
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
	if at.batches, err = readOutput(values); err != nil {
		return err
	}
	sub, cmd, err := s.svc.Subscribe(x.r.Context(), x.caller, x.project(), streamID, at.Seq)
	if err != nil {
		return err
	}
	x.concerns(cmd)
	head := sub.Head()
	verdict, err := decide(at, head, cmd.State)
	var release func()
	if err == nil {
		release, err = s.takeStream(x)
	}
	if err != nil {
		sub.Close()
		if errors.Is(err, errFinished) {
			x.WriteHeader(http.StatusNoContent)
			return nil
		}
		return err
	}
	rd, err := s.open(x, sub, release, at, verdict, waitsFor(cmd, head.Seq))
	if err != nil {
		return err
	}
	return s.stream(x, rd, http.StatusOK)
}

// eventStream is the media type of a stream.
const eventStream = "text/event-stream"

// acceptsEvents reports whether the caller takes a stream. Without an Accept
// header it takes anything.
func acceptsEvents(h http.Header) bool {
	return len(h.Values("Accept")) == 0 || accepts(h, eventStream, "text/*", "*/*")
}

// accepts reports whether the header Accept names one of the media types.
func accepts(h http.Header, types ...string) bool {
	for _, header := range h.Values("Accept") {
		for accepted := range strings.SplitSeq(header, ",") {
			media, params, err := mime.ParseMediaType(accepted)
			if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
				continue
			}
			if slices.Contains(types, media) {
				return true
			}
		}
	}
	return false
}
