package shim

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// spareCount is how many folders are kept ready.
const spareCount = 8

// spares makes the folders of commands in advance, with their files in them:
// on a disk, that takes longer than to start a program. To claim an ID is then
// to rename a folder. Where records are volatile, folders of forgotten commands
// become spares again: to make files where many were deleted just now takes a file
// system longest. Elsewhere the names that a folder had one after the other would
// have to be on the disk in that order, which takes longer still.
type spares struct {
	dir      string
	volatile bool
	ready    chan string
	used     chan string   // folders that nobody needs any more
	taken    chan struct{} // has a token when a spare may be missing
}

// newSpares empties dir and makes spares there once keep runs.
func newSpares(dir string, volatile bool) (*spares, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return &spares{
		dir: dir, volatile: volatile,
		ready: make(chan string, spareCount), used: make(chan string, spareCount), taken: make(chan struct{}, 1),
	}, nil
}

// keep makes spares until stop is closed, half of them at once: the file
// system then has to write its journal less often. It is alone in sending to
// ready.
func (s *spares) keep(stop <-chan struct{}) {
	for {
		if len(s.ready) <= spareCount/2 && len(s.used) == 0 {
			s.make(spareCount - len(s.ready))
		}
		select {
		case <-stop:
			for len(s.used) > 0 {
				_ = os.RemoveAll(<-s.used)
			}
			return
		case path := <-s.used:
			if len(s.ready) < spareCount {
				path = s.renew(path)
			} else {
				_ = os.RemoveAll(path)
				path = ""
			}
			if path != "" {
				s.ready <- path
			}
		case <-s.taken:
		}
	}
}

func (s *spares) make(n int) {
	var made []string
	for range n {
		path, err := s.create()
		if err != nil {
			break // claim makes its own folder, or says why not
		}
		made = append(made, path)
	}
	for _, path := range made {
		if !s.volatile {
			_ = syncFile(filepath.Join(path, recordsName))
		}
		s.ready <- path
	}
}

// reuse takes the folder of a command that is forgotten over, if it has a use
// for it.
func (s *spares) reuse(path string) bool {
	if !s.volatile {
		return false
	}
	select {
	case s.used <- path:
		return true
	default:
		return false
	}
}

// renew makes a spare of a used folder and returns its path, or deletes it and
// returns "". What is in the folder is overwritten before it gets the name of a
// spare: under that, what the old command was would be taken for the next one.
func (s *spares) renew(used string) string {
	path := filepath.Join(s.dir, rand.Text())
	if err := s.blank(used); err != nil || os.Rename(used, path) != nil {
		_ = os.RemoveAll(used)
		return ""
	}
	return path
}

func (s *spares) blank(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	segment := segmentPath(dir, 1)
	for _, entry := range entries {
		if name := entry.Name(); name != recordsName && name != filepath.Base(segment) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	if err := os.Truncate(segment, 0); err != nil {
		return err
	}
	records, err := os.OpenFile(filepath.Join(dir, recordsName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer records.Close()
	if err := records.Truncate(recordSize); err != nil {
		return err
	}
	_, err = records.WriteAt(blankRecords(), 0)
	return err
}

func blankRecords() []byte { return bytes.Repeat([]byte(" "), recordSize) }

// claim makes the folder, unless there is one of that name: fs.ErrExist.
func (s *spares) claim(folder string) error {
	// keep is told also if there was no spare: it may have failed to make any,
	// and tries once for each command then.
	defer func() {
		select {
		case s.taken <- struct{}{}:
		default:
		}
	}()
	select {
	case path := <-s.ready:
		// Not there is one that somebody has deleted, who cleans up.
		if err := os.Rename(path, folder); !errors.Is(err, fs.ErrNotExist) {
			return discarded(path, err)
		}
	default:
	}
	path, err := s.create()
	if err != nil {
		return err
	}
	return discarded(path, os.Rename(path, folder))
}

// discarded deletes a spare that was of no use.
func discarded(path string, err error) error {
	if err != nil {
		_ = os.RemoveAll(path)
	}
	return err
}

// create makes a folder with the files that most commands need.
func (s *spares) create() (_ string, err error) {
	path := filepath.Join(s.dir, rand.Text())
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(path)
		}
	}()
	for name, data := range map[string][]byte{
		filepath.Join(path, recordsName): blankRecords(),
		segmentPath(path, 1):             nil,
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// recoverSpares gives the folders their names that a power failure has taken
// back: their record says that they were claimed.
func recoverSpares(dir, commands string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		h, err := readRecords(path)
		if err != nil {
			return err
		}
		if h.Started == nil {
			continue
		}
		if err := os.Rename(path, filepath.Join(commands, h.Started.ID)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
