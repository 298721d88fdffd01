package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/exec"
)

// record is one of the JSON texts in a command's record file, of which one
// field is set. They come in this order.
type record struct {
	Started *startedRecord `json:"started,omitempty"`
	Process *processRecord `json:"process,omitempty"`
	Exit    *exitRecord    `json:"exit,omitempty"`
}

// startedRecord is fsynced before the fork. What could be a secret, Stdin and
// the values of Env, is not in it.
type startedRecord struct {
	ID        string        `json:"id"`
	Digest    string        `json:"digest"`
	Time      time.Time     `json:"time"`
	BootID    string        `json:"boot_id,omitempty"`
	Target    string        `json:"target"`
	Argv      []string      `json:"argv"`
	EnvNames  []string      `json:"env_names,omitempty"`
	Dir       string        `json:"dir"`
	Timeout   time.Duration `json:"timeout_ns,omitempty"`
	Grace     time.Duration `json:"grace_ns"`
	MaxOutput int64         `json:"max_output"`
}

// processRecord is written after the fork.
type processRecord struct {
	PID int `json:"pid"`
	// StartTime tells the process from a later one with the same id.
	StartTime uint64 `json:"start_time,omitempty"`
}

// exitRecord is written at the end, before the outcome is told.
type exitRecord struct {
	Digest string       `json:"digest"`
	Lines  uint64       `json:"lines"`
	Ended  time.Time    `json:"ended"`
	Result *exec.Result `json:"result,omitempty"`
	// Error is a key of outcomeErrors, set where there is no Result.
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
}

// outcome is how a command ended: a result or an error.
type outcome struct {
	result exec.Result
	err    error
}

// outcomeErrors are the errors that a command can end with for ever.
func outcomeErrors() map[string]error {
	return map[string]error{
		"program_not_found": exec.ErrProgramNotFound,
		"not_executable":    exec.ErrNotExecutable,
		"outcome_unknown":   exec.ErrOutcomeUnknown,
		"lost":              exec.ErrLost,
	}
}

// recordedError is an outcome's error. Its text is the same before and after
// it was stored.
type recordedError struct {
	message string
	cause   error
}

func (e *recordedError) Error() string { return e.message }
func (e *recordedError) Unwrap() error { return e.cause }

func (o outcome) record(digest string, lines uint64, ended time.Time) exitRecord {
	rec := exitRecord{Digest: digest, Lines: lines, Ended: ended}
	if o.err == nil {
		rec.Result = &o.result
		return rec
	}
	rec.Message = o.err.Error()
	for key, err := range outcomeErrors() {
		if errors.Is(o.err, err) {
			rec.Error = key
		}
	}
	return rec
}

func (r exitRecord) outcome() outcome {
	if r.Result != nil {
		return outcome{result: *r.Result}
	}
	cause := outcomeErrors()[r.Error]
	if cause == nil {
		cause = exec.ErrOutcomeUnknown
	}
	return outcome{err: &recordedError{message: r.Message, cause: cause}}
}

// recordSize is the size of a record file, or a multiple of it is: records, one
// a line, then spaces. Its blocks are taken in advance. To fsync a record is
// then to write one block, without the file system's journal, and a command
// that has filled the disk can still say how it ended.
//
// A record is there as a whole or not at all: one that a crash has torn is no
// JSON.
const recordSize = 4 << 10

// recordFile is the record file of a command that has not ended.
type recordFile struct {
	file *os.File
	end  int64
}

// append writes a record after those that are there. It is in the file system
// when append returns, and on the disk after sync.
func (f *recordFile) append(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	end := f.end + int64(len(data))
	if rec.Started != nil && end > recordSize/2 {
		// Take room for the records that follow, as a short one has it.
		pad := 2*recordSize - int(end%recordSize)
		data = append(data, bytes.Repeat([]byte(" "), pad)...)
	}
	if _, err := f.file.WriteAt(data, f.end); err != nil {
		return err
	}
	f.end = end
	return nil
}

func (f *recordFile) sync() error { return syncData(f.file) }

func (f *recordFile) close() { f.file.Close() }

// history is what a record file says.
type history struct {
	record
	end int64 // of the last whole record
}

// readRecords reads a record file. One that is missing says nothing.
func readRecords(dir string) (history, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordsName))
	if errors.Is(err, os.ErrNotExist) {
		return history{}, nil
	}
	if err != nil {
		return history{}, err
	}
	var h history
	dec := json.NewDecoder(bytes.NewReader(data))
	for h.Exit == nil {
		var rec record
		if err := dec.Decode(&rec); err != nil {
			break
		}
		switch {
		case rec.Started != nil:
			h.Started = rec.Started
		case rec.Process != nil:
			h.Process = rec.Process
		case rec.Exit != nil:
			h.Exit = rec.Exit
		}
		h.end = dec.InputOffset()
	}
	return h, nil
}

// appendLost ends the records that a dead engine has left.
func appendLost(dir string, h history, exit exitRecord) error {
	file, err := os.OpenFile(filepath.Join(dir, recordsName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(h.end); err != nil {
		return err // of what follows, a torn record may be left
	}
	data, err := json.Marshal(record{Exit: &exit})
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(append([]byte("\n"), append(data, '\n')...), h.end); err != nil {
		return err
	}
	return file.Sync()
}

// syncRecords puts the records of an ended command on the disk.
func syncRecords(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, recordsName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return syncData(file)
}
