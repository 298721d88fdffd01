package server

import (
	"time"

	"github.com/orchard9/rdev/rdev"
)

// eventQueued tells where a command waits for a place. It has no id: it is no
// part of the command's output, and a reader that comes back is told anew.
const eventQueued = "queued"

// positionInterval is how often a reader of a command that waits looks where.
const positionInterval = 250 * time.Millisecond

type queuedData struct {
	Position int `json:"position"` // 1 for the first, 0 when it has a place
}

// waitsFor reports whether a command is one whose position is to be told.
func waitsFor(cmd rdev.Command, head uint64) bool {
	return cmd.State == rdev.StateQueued && !cmd.WaitUntil.IsZero() && head == 0
}

// tellPosition tells where the command waits, if that has changed, until it
// does not.
func (rd *reader) tellPosition() error {
	position, known := rd.s.svc.QueuePosition(rd.streamID)
	if !known {
		return nil
	}
	rd.waits = position > 0
	if position == rd.position {
		return nil
	}
	rd.position = position
	frame, err := appendNoID(newFrames(), eventQueued, queuedData{position})
	if err != nil {
		return err
	}
	return rd.out.send(frame)
}
