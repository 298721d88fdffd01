package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/exec"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// idVariable is the environment variable that tells a command its ID.
const idVariable = "RDEV_COMMAND_ID"

// minimalEnv is the environment of commands where Options.Env is nil.
func minimalEnv() []string {
	return []string{"PATH=" + defaultPath, "HOME=/", "LANG=C.UTF-8"}
}

// environ returns what a command sees: base, over it the command's own
// variables, over those the ones that the engine sets. The cookie comes last:
// a program that writes its title over its arguments spoils the beginning of
// its environment first.
func environ(base []string, own map[string]string, dir, id, cookie string) []string {
	set := map[string]string{"PWD": dir}
	maps.Copy(set, own)
	set[idVariable] = id
	env := make([]string, 0, len(base)+len(set)+1)
	for _, kv := range base {
		name, _, ok := strings.Cut(kv, "=")
		if _, taken := set[name]; ok && !taken && name != "" {
			env = append(env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		env = append(env, name+"="+set[name])
	}
	return append(env, cookie)
}

func lookupEnv(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// resolveDir returns the absolute working folder of a command, which is in the
// workspace also after all symbolic links have been followed.
func resolveDir(workspace, dir string) (string, error) {
	root, err := filepath.Abs(workspace)
	if workspace == "" { // Abs takes it for where this process happens to be
		err = fs.ErrInvalid
	}
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err == nil {
		err = checkDir(root)
	}
	if err != nil {
		return "", fmt.Errorf("exec/shim: open workspace: %w: %w", exec.ErrTargetNotReady, err)
	}
	if dir == "" {
		return root, nil
	}
	if filepath.IsAbs(dir) {
		return "", dirError("is absolute: want a folder relative to the workspace")
	}
	// Not Join, which would take "link/.." for nothing.
	full, err := filepath.EvalSymlinks(root + "/" + dir)
	switch {
	case !filepath.IsLocal(dir):
		return "", dirError("leaves the workspace")
	case errors.Is(err, fs.ErrNotExist):
		return "", dirError("does not exist")
	case err != nil:
		return "", dirError("cannot be opened")
	}
	if rel, err := filepath.Rel(root, full); err != nil || !filepath.IsLocal(rel) {
		return "", dirError("leaves the workspace")
	}
	switch err := checkDir(full); {
	case errors.Is(err, unix.ENOTDIR):
		return "", dirError("is not a folder")
	case err != nil:
		return "", dirError("cannot be entered")
	}
	return full, nil
}

func dirError(problem string) error {
	return &exec.FieldError{Field: "dir", Problem: problem}
}

func checkDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return unix.ENOTDIR
	}
	return unix.Access(path, unix.X_OK)
}

// lookProgram finds the file to execute as the command's own shell would: in
// the PATH that the command will see, relative names from its working folder.
func lookProgram(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			// Not Join, which would take the dots out of "link/../program".
			path = dir + "/" + name
		}
		return path, startError(name, checkProgram(path))
	}
	list, ok := lookupEnv(env, "PATH")
	if !ok {
		list = defaultPath
	}
	found := error(unix.ENOENT)
	for _, folder := range strings.Split(list, ":") {
		if !filepath.IsAbs(folder) {
			folder = dir + "/" + folder
		}
		path := folder + "/" + name
		switch err := checkProgram(path); {
		case err == nil:
			return path, nil
		case errors.Is(err, unix.EACCES):
			found = err // as execvp does: go on, but remember it
		}
	}
	return "", startError(name, found)
}

func checkProgram(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			return errno
		}
		return err
	}
	if info.IsDir() {
		return unix.EACCES
	}
	return unix.Access(path, unix.X_OK)
}

// startError turns the reason why a program could not be executed into the
// outcome that is recorded, or returns nil for nil.
func startError(name string, err error) error {
	if err == nil {
		return nil
	}
	cause := exec.ErrNotExecutable
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		cause = exec.ErrProgramNotFound
	}
	return &recordedError{
		message: fmt.Sprintf("exec/shim: start %q: %v: %v", name, cause, err),
		cause:   cause,
	}
}
