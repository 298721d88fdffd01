package rdev

import (
	"context"
	"errors"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// sessionRecords is how many of the newest records of a session are looked at
// for its total.
const sessionRecords = 20

// claudeResult returns what the command's claude reported, nil if nothing.
func (w *worker) claudeResult() (*ClaudeResult, error) {
	if w.watch == nil {
		return nil, nil
	}
	reported, seen := w.watch.result()
	if !seen {
		return nil, nil
	}
	var known *ClaudeResult
	if reported.SessionID != "" {
		err := w.retry("read session", func(ctx context.Context) error {
			filter := CommandFilter{Project: w.cmd.Project, ClaudeSession: reported.SessionID}
			found, err := w.s.cfg.Commands.List(ctx, filter, sessionRecords)
			for i := range found { // totals only ever grow
				c := found[i].Claude
				if found[i].ID != w.cmd.ID && c != nil && (known == nil || c.SessionCostUSD > known.SessionCostUSD) {
					known = c
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return claudeResultOf(reported, known), nil
}

// replayEvents is how far back the output of a claude is read by a worker that
// takes it over: the result is among the last lines. Lines are cut into pieces
// of 64 KiB, so these are 64 MiB at most.
const replayEvents = 1024

// replay reads what a former worker has published, for a result. That is masked,
// and the lines that the executor is asked for again are not heard twice.
func (w *worker) replay() error {
	if w.watch == nil || w.published == 0 {
		return nil
	}
	after := uint64(0)
	if w.published > replayEvents {
		after = w.published - replayEvents
		w.watch.reader.Skip()
	}
	return w.retry("read output", func(ctx context.Context) error {
		sub, err := w.s.cfg.Broker.Subscribe(ctx, w.cmd.StreamID(), after)
		if err != nil {
			return err
		}
		defer sub.Close()
		for after < w.published {
			events, err := sub.Next(ctx)
			var gap *stream.GapError
			if errors.As(err, &gap) {
				after = gap.To
				w.watch.reader.Skip()
				continue
			}
			if err != nil {
				return err
			}
			lines := make([]exec.Line, 0, len(events))
			for _, e := range events {
				if e.Kind != stream.Output { // another owner has ended it meanwhile
					break
				}
				line, err := DecodeOutput(e)
				if err != nil {
					return err
				}
				lines = append(lines, line)
				after = e.Seq
			}
			w.watch.lines(lines)
			if len(lines) < len(events) {
				break
			}
		}
		w.published = max(w.published, after) // the former owner may still be at it
		return nil
	})
}
