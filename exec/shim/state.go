package shim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

// Names in the state folder. Their meaning is in the package's documentation.
const (
	lockName     = "lock"
	instanceName = "instance"
	versionName  = "v1"
	startedName  = "started.json"
	exitName     = "exit.json"
	exitTempName = "exit.tmp"
	segmentExt   = ".seg"
	// deletedPrefix begins the names of folders that are being deleted. No ID
	// begins with a dot.
	deletedPrefix = ".deleted-"
)

// startedRecord is the first line of started.json. What could be a secret,
// Stdin and the values of Env, is not in it.
type startedRecord struct {
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

// processRecord is the second line of started.json, written after the fork.
type processRecord struct {
	PID int `json:"pid"`
	// StartTime tells the process from a later one with the same id.
	StartTime uint64 `json:"start_time,omitempty"`
}

// exitRecord is exit.json.
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

// writeStarted makes it durable that the command may run from now on. The
// returned file takes the processRecord.
//
// Only the file is fsynced: the journals of ext4, xfs and btrfs hold the names
// of a new file and of its new folder no later than the file itself.
func writeStarted(dir string, rec startedRecord) (_ *os.File, err error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, startedName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if _, err := file.Write(append(data, '\n')); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return file, nil
}

func readStarted(dir string) (startedRecord, processRecord, error) {
	file, err := os.Open(filepath.Join(dir, startedName))
	if err != nil {
		return startedRecord{}, processRecord{}, err
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	var started startedRecord
	var process processRecord
	if err := dec.Decode(&started); err != nil {
		return started, process, err
	}
	// It is missing if the engine died between the fork and the write.
	_ = dec.Decode(&process)
	return started, process, nil
}

// writeExit records the outcome. It is in the file system when writeExit
// returns, and on the disk after syncExit.
func writeExit(dir string, rec exitRecord) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	temp := filepath.Join(dir, exitTempName)
	err = os.WriteFile(temp, data, 0o600)
	if errors.Is(err, unix.ENOSPC) {
		// A command that has filled the disk can still say how it ended: the
		// record goes where started.json was, on space that is already taken.
		_ = os.Remove(temp)
		temp = filepath.Join(dir, startedName)
		err = overwrite(temp, data)
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, exitName))
}

// overwrite replaces the text of a file without taking new space if the file
// system's block is large enough.
func overwrite(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.Truncate(int64(len(data)))
}

func syncExit(dir string) error {
	file, err := os.Open(filepath.Join(dir, exitName))
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

func readExit(dir string) (exitRecord, error) {
	data, err := os.ReadFile(filepath.Join(dir, exitName))
	if err != nil {
		return exitRecord{}, err
	}
	var rec exitRecord
	if err := json.Unmarshal(data, &rec); err != nil {
		return exitRecord{}, err
	}
	return rec, nil
}

// retireFolder takes a command's state out of the way under a name that Open
// deletes, in one step: a half deleted folder must not look like a command that
// never ran. It returns that name, or "" if there is nothing.
func retireFolder(dir string) (string, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	gone := filepath.Join(filepath.Dir(dir), deletedPrefix+hex.EncodeToString(random[:]))
	switch err := os.Rename(dir, gone); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return gone, nil
}

func removeFolder(dir string) error {
	gone, err := retireFolder(dir)
	if err != nil || gone == "" {
		return err
	}
	return os.RemoveAll(gone)
}

// loadInstance returns the name of the folder's incarnation and gives it one
// if it has none.
func loadInstance(dir string) (string, error) {
	path := filepath.Join(dir, instanceName)
	data, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(data))) > 0 {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	instance := hex.EncodeToString(random[:])
	temp := path + ".tmp"
	if err := writeSynced(temp, instance+"\n"); err != nil {
		return "", err
	}
	if err := os.Rename(temp, path); err != nil {
		return "", err
	}
	return instance, syncDir(dir)
}

func writeSynced(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err // EINVAL: a file system whose folders need no fsync
	}
	return nil
}

// lockFolder takes the folder for this process. The lock ends with the file,
// so also with the process.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return file, nil
}
