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
	ready    chan *spare
	used     chan string   // folders that nobody needs any more
	taken    chan struct{} // has a token when a spare may be missing
}

// A spare is a folder with the files that most commands need, open for writing.
type spare struct {
	path             string
	records, segment *os.File
}

func (s *spare) close() {
	s.records.Close()
	s.segment.Close()
}

// discard deletes a spare that is of no use.
func (s *spare) discard() {
	s.close()
	_ = os.RemoveAll(s.path)
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
		ready: make(chan *spare, spareCount), used: make(chan string, spareCount), taken: make(chan struct{}, 1),
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
			s.closeAll()
			return
		case path := <-s.used:
			if len(s.ready) == spareCount {
				_ = os.RemoveAll(path)
			} else if one := s.renew(path); one != nil {
				s.ready <- one
			}
		case <-s.taken:
		}
	}
}

// closeAll leaves the folders to the next engine, which deletes them.
func (s *spares) closeAll() {
	for {
		select {
		case one := <-s.ready:
			one.close()
		default:
			return
		}
	}
}

func (s *spares) make(n int) {
	var made []*spare
	for range n {
		one, err := s.create()
		if err != nil {
			break // claim makes its own folder, or says why not
		}
		made = append(made, one)
	}
	for _, one := range made {
		if !s.volatile {
			_ = one.records.Sync()
		}
		s.ready <- one
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

// renew makes a spare of a used folder, or deletes it and returns nil. What is in
// the folder is overwritten before it gets the name of a spare: under that, what
// the old command was would be taken for the next one.
func (s *spares) renew(used string) *spare {
	if err := tidyUp(used); err != nil {
		_ = os.RemoveAll(used)
		return nil
	}
	one, err := openSpare(used, 0)
	if err != nil {
		_ = os.RemoveAll(used)
		return nil
	}
	one.path = filepath.Join(s.dir, rand.Text())
	if err := os.Rename(used, one.path); err != nil {
		one.path = used
		one.discard()
		return nil
	}
	return one
}

// tidyUp deletes what a command has left beside the files of a spare.
func tidyUp(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	segment := filepath.Base(segmentPath(dir, 1))
	for _, entry := range entries {
		if name := entry.Name(); name != recordsName && name != segment {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// openSpare opens the files of a folder, with os.O_CREATE makes them, and
// overwrites what is in them.
func openSpare(dir string, flag int) (*spare, error) {
	records, err := os.OpenFile(filepath.Join(dir, recordsName), os.O_WRONLY|flag, 0o600)
	if err != nil {
		return nil, err
	}
	segment, err := os.OpenFile(segmentPath(dir, 1), os.O_WRONLY|flag, 0o600)
	if err != nil {
		records.Close()
		return nil, err
	}
	one := &spare{path: dir, records: records, segment: segment}
	if err := one.blank(); err != nil {
		one.close()
		return nil, err
	}
	return one, nil
}

func (s *spare) blank() error {
	if err := s.segment.Truncate(0); err != nil {
		return err
	}
	if err := s.records.Truncate(recordSize); err != nil {
		return err
	}
	_, err := s.records.WriteAt(blankRecords(), 0)
	return err
}

func blankRecords() []byte { return bytes.Repeat([]byte(" "), recordSize) }

// claim makes the folder, unless there is one of that name: fs.ErrExist. Its
// files are the caller's.
func (s *spares) claim(folder string) (*spare, error) {
	// keep is told also if there was no spare: it may have failed to make any,
	// and tries once for each command then.
	defer func() {
		select {
		case s.taken <- struct{}{}:
		default:
		}
	}()
	select {
	case one := <-s.ready:
		// Not there is one that somebody has deleted, who cleans up.
		if err := os.Rename(one.path, folder); !errors.Is(err, fs.ErrNotExist) {
			return one.claimed(err)
		}
		one.close()
	default:
	}
	one, err := s.create()
	if err != nil {
		return nil, err
	}
	return one.claimed(os.Rename(one.path, folder))
}

func (s *spare) claimed(err error) (*spare, error) {
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// create makes a spare.
func (s *spares) create() (*spare, error) {
	path := filepath.Join(s.dir, rand.Text())
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	one, err := openSpare(path, os.O_CREATE)
	if err != nil {
		_ = os.RemoveAll(path)
	}
	return one, err
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
