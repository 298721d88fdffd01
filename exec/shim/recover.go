package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/exec"
)

// recover reads what an earlier engine has left in the state folder. The lock
// on the folder says that none is at work there.
func (e *Engine) recover() error {
	dir := filepath.Join(e.dir, versionName)
	if err := recoverSpares(filepath.Join(e.dir, spareName), dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		id, folder := entry.Name(), filepath.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(id, deletedPrefix):
			err = os.RemoveAll(folder)
		case exec.ValidID(id) && entry.IsDir():
			err = e.recoverCommand(id, folder)
		}
		if err != nil {
			return fmt.Errorf("recover %s: %w", id, err)
		}
	}
	return nil
}

func (e *Engine) recoverCommand(id, folder string) error {
	h, err := readRecords(folder)
	if err != nil {
		return err
	}
	switch {
	case h.Exit != nil:
	case h.Started == nil:
		return removeFolder(folder) // there was no fork
	default:
		if err := e.recoverLost(id, folder, &h); err != nil {
			return err
		}
	}
	exit := h.Exit
	segments, err := readSegments(folder)
	if err != nil {
		return err
	}
	c := &command{
		engine:    e,
		id:        id,
		digest:    exit.Digest,
		folder:    folder,
		log:       newLog(folder, 0, func() bool { return false }),
		cancelled: make(chan struct{}),
		killed:    make(chan struct{}),
		done:      make(chan struct{}),
		outcome:   exit.outcome(),
		ended:     exit.Ended,
	}
	c.log.segments, c.log.last = segments, exit.Lines
	close(c.done)
	e.commands[id] = c
	e.noteEnd(c)
	return nil
}

// recoverLost ends a command whose engine died: its processes are killed, its
// log is cut after the last whole frame, and ErrLost is recorded for ever.
func (e *Engine) recoverLost(id, folder string, h *history) error {
	var process processRecord
	if h.Process != nil { // else the engine died right after the fork
		process = *h.Process
	}
	sameBoot := h.Started.BootID != "" && h.Started.BootID == e.bootID
	survivors := killLost(e.instance, id, process, sameBoot)
	lines, err := repairLog(folder)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("exec/shim: %s: %v: its engine died while it ran", id, exec.ErrLost)
	if len(survivors) > 0 {
		message += fmt.Sprintf("; processes %v are still alive", survivors)
	}
	o := outcome{err: &recordedError{message: message, cause: exec.ErrLost}}
	exit := o.record(h.Started.Digest, lines, time.Now())
	h.Exit = &exit
	return appendLost(folder, *h, exit)
}

// readSegments lists the log of an ended command.
func readSegments(folder string) ([]segment, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var segments []segment
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), segmentExt)
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 {
			segments = append(segments, segment{first: first, size: info.Size()})
		}
	}
	slices.SortFunc(segments, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return segments, nil
}

// repairLog cuts everything after the last whole frame and returns the Seq of
// the last line.
func repairLog(folder string) (uint64, error) {
	segments, err := readSegments(folder)
	if err != nil {
		return 0, err
	}
	last := uint64(0)
	for i, seg := range segments {
		path := segmentPath(folder, seg.first)
		if seg.first != last+1 {
			return last, removeSegments(folder, segments[i:])
		}
		size, end, err := scanSegment(path, seg.first)
		if err != nil {
			return 0, err
		}
		last = end
		if size < seg.size {
			if err := os.Truncate(path, size); err != nil {
				return 0, err
			}
			return last, removeSegments(folder, segments[i+1:])
		}
	}
	return last, nil
}

func removeSegments(folder string, segments []segment) error {
	for _, seg := range segments {
		if err := os.Remove(segmentPath(folder, seg.first)); err != nil {
			return err
		}
	}
	return nil
}

// scanSegment returns where the whole frames of a segment end and the Seq of
// the last line in them.
func scanSegment(path string, first uint64) (size int64, last uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	buf := make([]byte, 2*frameMax)
	last = first - 1
	for have := 0; ; {
		n, readErr := io.ReadFull(file, buf[have:])
		have += n
		pos := 0
		for {
			f, n, err := decodeFrame(buf[pos:have])
			if err != nil || f.next != last+1 {
				break
			}
			pos += n
			last = f.next + uint64(f.left) - 1
		}
		size += int64(pos)
		if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
			return 0, 0, readErr
		}
		if readErr != nil || pos == 0 {
			return size, last, nil
		}
		have = copy(buf, buf[pos:have])
	}
}
