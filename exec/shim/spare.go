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
// to rename a folder.
type spares struct {
	dir   string
	ready chan string
	taken chan struct{}
}

// newSpares empties dir and makes spares there once keep runs.
func newSpares(dir string) (*spares, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return &spares{dir: dir, ready: make(chan string, spareCount), taken: make(chan struct{}, 1)}, nil
}

// keep makes spares until stop is closed, half of them at once: the file
// system then has to write its journal less often.
func (s *spares) keep(stop <-chan struct{}) {
	for {
		if len(s.ready) <= spareCount/2 {
			var made []string
			for range spareCount - len(s.ready) {
				path, err := s.create()
				if err != nil {
					break // claim makes its own folder, or says why not
				}
				made = append(made, path)
			}
			for _, path := range made {
				_ = syncFile(filepath.Join(path, recordsName))
				s.ready <- path // keep is alone in sending
			}
		}
		select {
		case <-stop:
			return
		case <-s.taken:
		}
	}
}

// claim makes the folder, unless there is one of that name: fs.ErrExist.
func (s *spares) claim(folder string) error {
	var path string
	var err error
	select {
	case path = <-s.ready:
		select {
		case s.taken <- struct{}{}:
		default:
		}
	default:
		if path, err = s.create(); err != nil {
			return err
		}
	}
	if err := os.Rename(path, folder); err != nil {
		_ = os.RemoveAll(path)
		return err
	}
	return nil
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
	blank := bytes.Repeat([]byte(" "), recordSize)
	for name, data := range map[string][]byte{
		filepath.Join(path, recordsName): blank,
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
