package server

import (
	"net/url"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/sse"
)

// A cursor is where a reader says that it stands in a stream, and how it wants
// what comes.
type cursor struct {
	sse.Cursor
	given   bool
	batches bool // lines that are there together are one event
}

// A resume says how a stream goes on for a reader.
type resume string

const (
	resumeFresh resume = "fresh" // from the beginning, nothing was asked for
	resumeExact resume = "exact" // with the event after the reader's last one
	resumeGap   resume = "gap"   // behind a gap, which a gap event tells
)

const (
	lastEventIDHeader = "Last-Event-ID"
	lastEventIDParam  = "last_event_id"
	outputParam       = "output"
)

// readOutput finds out how the reader wants its lines.
func readOutput(values url.Values) (batches bool, err error) {
	switch values.Get(outputParam) {
	case "batches":
		return true, nil
	case "lines":
		return false, nil
	}
	if values.Has(outputParam) {
		return false, invalid(outputParam, "is neither lines nor batches")
	}
	return false, nil
}

// errFinished answers a reader that has everything. It ends an EventSource,
// which would otherwise come back for ever.
var errFinished = &apiError{message: "there is nothing left to read"}

// readCursor finds the reader's cursor. The header wins: an EventSource sends
// it when it reconnects, to the same URL, in which an older one may stand. An
// empty one is none.
func readCursor(x *exchange, values url.Values, streamID string) (cursor, error) {
	field, id := lastEventIDParam, values.Get(lastEventIDParam)
	if headers := x.r.Header.Values(lastEventIDHeader); len(headers) > 0 {
		if len(headers) > 1 {
			return cursor{}, invalid(lastEventIDHeader, "is there twice")
		}
		if headers[0] != "" {
			field, id = lastEventIDHeader, headers[0]
		}
	}
	if id == "" {
		return cursor{Cursor: sse.Cursor{Stream: streamID}}, nil
	}
	return parseEventID(field, id, streamID)
}

// parseEventID takes an id that this server gave to an event of the stream.
// Anything else cannot have come from here, and guessing would repeat or lose
// events.
func parseEventID(field, id, streamID string) (cursor, error) {
	at, err := sse.ParseCursor(id)
	switch {
	case err != nil:
		return cursor{}, invalid(field, "is not the id of an event")
	case at.Stream != streamID:
		return cursor{}, invalid(field, "is of another stream")
	}
	return cursor{Cursor: at, given: true}, nil
}

// decide says how the stream goes on for a reader at c, or why it does not:
// errFinished or GONE.
func decide(c cursor, head stream.Head, state rdev.State) (resume, error) {
	switch {
	case c.Final, c.given && head.Closed && c.Seq == head.Seq && head.Seq > 0:
		return "", errFinished
	case state.Terminal() && head.First > head.Seq:
		// The command has ended, so its stream did have events.
		return "", &apiError{code: rdev.CodeGone, message: "the output of the command is retained no longer"}
	case c.Seq > head.Seq, c.Seq+1 < head.First:
		return resumeGap, nil
	case !c.given:
		return resumeFresh, nil
	}
	return resumeExact, nil
}

// afterGap is the number that brings a reader back to behind the gap.
func afterGap(gap *stream.GapError) uint64 {
	if gap.Reason == stream.GapTruncated {
		return gap.From - 1 // the numbers that it has will be given anew
	}
	return gap.To
}
