package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

// startedRecord is the first record of started.json. What could be a secret,
// Stdin and the values of Env, is not in it.
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

// processRecord is the second record of started.json, written after the fork.
type processRecord struct {
	PID int `json:"pid"`
	// StartTime tells the process from a later one with the same id.
	StartTime uint64 `json:"start_time,omitempty"`
}

// exitRecord is exit.json, or the last record of started.json if the disk had
// no room for another file.
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

// startedSize is the size of started.json, or a multiple of it is: records,
// then spaces. Its blocks are taken in advance, so that to fsync a record is to
// write one block, without the file system's journal; and what is left of them
// is where a command that has filled the disk can say how it ended.
const startedSize = 4 << 10

// startedFile is an open started.json.
type startedFile struct {
	file *os.File
	end  int64
}

// append writes a record after those that are there.
func (f *startedFile) append(record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	_, err = f.file.WriteAt(data, f.end)
	f.end += int64(len(data))
	return err
}

func (f *startedFile) close() { f.file.Close() }

// writeStarted makes it durable that the command may run from now on.
//
// Only the file is fsynced: the journals of ext4, xfs and btrfs hold the names
// of a new file and of its new folder no later than the file itself, and what
// a folder is called that was renamed is said by the record.
func writeStarted(dir string, rec startedRecord) (_ *startedFile, err error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	end := int64(len(data))
	for len(data) < startedSize || int64(len(data)) < end+startedSize/2 {
		data = append(data, bytes.Repeat([]byte(" "), startedSize-len(data)%startedSize)...)
	}
	file, err := os.OpenFile(filepath.Join(dir, startedName), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(data); err == nil {
		err = syncData(file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &startedFile{file: file, end: end}, nil
}

// errNeverStarted: started.json holds no whole record, so writeStarted has not
// returned, and there was no fork.
var errNeverStarted = errors.New("no record of a start")

// readStarted reads started.json. The second and the third record need not be
// there.
func readStarted(dir string) (startedRecord, processRecord, *exitRecord, error) {
	var started startedRecord
	var process processRecord
	data, err := os.ReadFile(filepath.Join(dir, startedName))
	if errors.Is(err, os.ErrNotExist) {
		return started, process, nil, errNeverStarted
	}
	if err != nil {
		return started, process, nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&started); err != nil || started.Digest == "" {
		return started, process, nil, errNeverStarted
	}
	if err := dec.Decode(&process); err != nil {
		return started, processRecord{}, nil, nil
	}
	var exit exitRecord
	if err := dec.Decode(&exit); err != nil || exit.Digest != started.Digest {
		return started, process, nil, nil
	}
	return started, process, &exit, nil
}

// writeExit records the outcome. It is in the file system when writeExit
// returns, and on the disk after syncExit. started is nil if the command was
// not started.
func writeExit(dir string, rec exitRecord, started *startedFile) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, exitTempName)
	err = os.WriteFile(temp, append(data, '\n'), 0o600)
	if errors.Is(err, unix.ENOSPC) && started != nil {
		_ = os.Remove(temp)
		return started.append(rec)
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, exitName))
}

// syncExit puts the outcome on the disk.
func syncExit(dir string) error {
	file, err := os.Open(filepath.Join(dir, exitName))
	if errors.Is(err, os.ErrNotExist) {
		file, err = os.Open(filepath.Join(dir, startedName))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// readExit returns the recorded outcome. A file that says nothing, as a power
// failure leaves it, is like none.
func readExit(dir string) (exitRecord, bool, error) {
	data, err := os.ReadFile(filepath.Join(dir, exitName))
	if errors.Is(err, os.ErrNotExist) {
		return exitRecord{}, false, nil
	}
	if err != nil {
		return exitRecord{}, false, err
	}
	var rec exitRecord
	if err := json.Unmarshal(data, &rec); err != nil || rec.Digest == "" {
		return exitRecord{}, false, nil
	}
	return rec, true, nil
}
