package stream

import "fmt"

// MaxData is the largest Data of an Event in bytes. A line of output is at most
// 64 KiB; as JSON, with its exact bytes in base64 beside it, it stays below.
const MaxData = 1 << 20

// Kind is the type of an event.
type Kind string

// The kinds that are stored. Complete and Failed are terminal: exactly one of
// them ends a stream.
const (
	Output   Kind = "output"
	Complete Kind = "complete"
	Failed   Kind = "error"
)

// Terminal reports whether an event of this kind ends its stream.
func (k Kind) Terminal() bool { return k == Complete || k == Failed }

// An Event is an entry of a stream. What a Subscription returns is shared between
// all readers: nobody changes its Data.
type Event struct {
	// Seq numbers the events of a stream from 1, without holes.
	Seq  uint64
	Kind Kind
	// Data is a JSON object on one line, encoded once by the publisher.
	Data []byte
}

// Check verifies what Publish requires of a batch by itself. Its error wraps
// ErrInvalid.
func Check(events []Event) error {
	for i, e := range events {
		switch {
		case e.Seq == 0:
			return fmt.Errorf("%w: event %d has no seq", ErrInvalid, i)
		case i > 0 && e.Seq != events[i-1].Seq+1:
			return fmt.Errorf("%w: seq %d follows %d", ErrInvalid, e.Seq, events[i-1].Seq)
		case i > 0 && events[i-1].Kind.Terminal():
			return fmt.Errorf("%w: seq %d follows a terminal event", ErrInvalid, e.Seq)
		case e.Kind == "":
			return fmt.Errorf("%w: seq %d has no kind", ErrInvalid, e.Seq)
		case len(e.Data) > MaxData:
			return fmt.Errorf("%w: seq %d has %d bytes, at most %d are allowed", ErrInvalid, e.Seq, len(e.Data), MaxData)
		}
	}
	return nil
}
