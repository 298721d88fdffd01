package daemon

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrElsewhere: this is another run of the container, or of the machine, than
// the one that was asked for.
var ErrElsewhere = errors.New("this is another run of the container")

// ExitElsewhere is the exit code of a program that ends with ErrElsewhere. What
// starts it cannot rely on what it says: that may be lost.
const ExitElsewhere = 75

const originName = "origin"

// Origin names the run of the container that this process is in: all processes
// in it see the same name, and those in another run, of the same container too,
// another one. Each of its parts is of use where others are not: process 1 is
// not the container's in a pod that shares its processes, numbers of namespaces
// are given again, and not every root is an overlay.
func Origin() string {
	var facts []string
	for _, path := range []string{"/proc/sys/kernel/random/boot_id", "/proc/1/stat", "/proc/self/mountinfo"} {
		text, _ := os.ReadFile(path) // what is not there is never there
		switch filepath.Base(path) {
		case "stat":
			facts = append(facts, startTime(string(text)))
		case "mountinfo":
			facts = append(facts, rootMount(string(text)))
		default:
			facts = append(facts, string(text))
		}
	}
	for _, space := range []string{"mnt", "pid"} {
		link, _ := os.Readlink("/proc/self/ns/" + space)
		facts = append(facts, link)
	}
	sum := sha256.Sum256([]byte(strings.Join(facts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// startTime is when the process started, of its /proc/PID/stat.
func startTime(stat string) string {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // its name may hold anything
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// rootMount is where the root folder comes from, of a mountinfo: for one run of
// the container it is made anew. What can change while it is mounted is left out.
func rootMount(mountinfo string) string {
	root := ""
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		mount, source := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || mount[4] != "/" || len(source) < 2 {
			continue
		}
		root = mount[3] + " " + source[1] // the last one is the one that is seen
		if len(source) > 2 {
			for option := range strings.SplitSeq(source[2], ",") {
				if strings.HasPrefix(option, "upperdir=") {
					root += " " + option
				}
			}
		}
	}
	return root
}

// settle makes the state folder that of this run, or fails with ErrElsewhere if
// it is another run's, or this is not the run that is wanted ("" is any).
func settle(dir, wanted string) (origin string, err error) {
	origin = Origin()
	if wanted != "" && wanted != origin {
		return "", ErrElsewhere
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, originName)
	for {
		known, err := os.ReadFile(path)
		switch {
		case err == nil && string(bytes.TrimSpace(known)) != origin:
			return "", fmt.Errorf("%w than that of %s", ErrElsewhere, dir)
		case err == nil:
			return origin, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		// One of several that come at once writes it, as a whole. A folder of an
		// earlier version has none, and on a full disk gets none.
		temp := filepath.Join(dir, "."+originName+"-"+rand.Text())
		err = os.WriteFile(temp, []byte(origin+"\n"), 0o600)
		if err == nil {
			err = os.Link(temp, path)
		}
		_ = os.Remove(temp)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return origin, nil
		}
	}
}
