package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ownerName = "owner"
	// placedPrefix begins the names of folders that programs are placed in.
	placedPrefix  = ".rdev-"
	statePrefix   = "state-"
	deletedPrefix = ".deleted-"
	// programAge is how old a program of another build is when it is deleted:
	// whoever has placed it may be about to start it.
	programAge = time.Hour
)

// isPlaced reports whether a file of that name was placed beside state folders,
// whole or on its way: rdev-shim-<digest>, with the number of a process behind it
// or not, and probe.<process>.
func isPlaced(name string) bool {
	name, number, partial := strings.Cut(name, ".")
	if partial && (number == "" || strings.Trim(number, "0123456789") != "") {
		return false
	}
	digest, isShim := strings.CutPrefix(name, "rdev-shim-")
	return partial && name == "probe" || isShim && len(digest) == 16 && strings.Trim(digest, "0123456789abcdef") == ""
}

// A tenant is a run of something that starts again and again in the same volume:
// a container.
type tenant struct {
	owner      string // the same for all its runs, and nobody else's
	generation int    // more with each run
}

func (t tenant) isKnown() bool { return t.owner != "" }

// moveIn says in the state folder whose it is. On a full disk it stays unsaid,
// and the folder is not deleted later.
func (t tenant) moveIn(dir string) {
	path := filepath.Join(dir, ownerName)
	if _, err := os.Lstat(path); err == nil {
		return
	}
	temp := filepath.Join(dir, "."+ownerName+"-"+rand.Text())
	if os.WriteFile(temp, fmt.Appendf(nil, "%d %s\n", t.generation, t.owner), 0o600) == nil {
		_ = os.Rename(temp, path)
	}
	_ = os.Remove(temp)
}

// isEarlier reports whether the state folder is that of an earlier run. Folders
// of others are nobody's to judge: their container may run, and its daemon only
// have ended because there was nothing to do.
func (t tenant) isEarlier(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, ownerName))
	if err != nil {
		return false
	}
	var generation int
	number, owner, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	_, err = fmt.Sscan(number, &generation)
	return err == nil && owner == t.owner && generation < t.generation
}

// tidy deletes what is of no use beside the state folder dir and beside the
// program self: state folders of earlier runs that no daemon holds, and programs
// of other builds that nobody runs. What cannot be deleted is left for the next
// time.
//
// A daemon of an earlier run that is in this one was started by somebody who had
// not heard of the restart. Its commands are lost to everybody by now, and ended.
func (t tenant) tidy(dir, self string) {
	beside := filepath.Dir(dir)
	for _, entry := range entriesOf(beside) {
		path := filepath.Join(beside, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), deletedPrefix):
			_ = os.RemoveAll(path)
		case strings.HasPrefix(entry.Name(), statePrefix) && path != dir && entry.IsDir() && t.isEarlier(path):
			if known, err := os.ReadFile(filepath.Join(path, originName)); err == nil && strings.TrimSpace(string(known)) == Origin() {
				terminate(path)
			}
			removeState(path)
		}
	}
	if !isPlaced(filepath.Base(self)) {
		return // it was not placed
	}
	for _, folder := range []string{beside, filepath.Dir(self)} {
		if strings.HasPrefix(filepath.Base(folder), placedPrefix) {
			removePrograms(folder, filepath.Base(self))
		}
	}
}

func entriesOf(dir string) []fs.DirEntry {
	entries, _ := os.ReadDir(dir)
	return entries
}

// removeState deletes a state folder, unless somebody holds it or is about to
// start a daemon there.
func removeState(dir string) {
	for _, name := range []string{startLockName, "lock"} {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return
		}
		defer file.Close()
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return
		}
	}
	// In one step: half a folder must not look like a whole one.
	gone := filepath.Join(filepath.Dir(dir), deletedPrefix+rand.Text())
	if os.Rename(dir, gone) == nil {
		_ = os.RemoveAll(gone)
	}
}

func removePrograms(dir, own string) {
	running := make(map[string]bool)
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil {
			running[filepath.Base(path)] = true
		}
	}
	for _, entry := range entriesOf(dir) {
		name := entry.Name()
		if name == own || !isPlaced(name) || running[name] {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > programAge {
			_ = os.Remove(filepath.Join(dir, name))
		}
	}
}
