package shim

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names in the state folder. Their meaning is in the package's documentation.
const (
	lockName     = "lock"
	instanceName = "instance"
	versionName  = "v1"
	spareName    = "spare"
	recordsName  = "records.jsonl"
	segmentExt   = ".seg"
	// deletedPrefix begins the names of folders that are being deleted. No ID
	// begins with a dot.
	deletedPrefix = ".deleted-"
)

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
