package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/auth"
)

// welcome says on standard error where the server is and what to do next. The
// key is in it when it was made just now, and never again.
func (a *app) welcome(c Config, url string, projects *folders, key auth.Secret, made bool) {
	w := tabwriter.NewWriter(a.stderr, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "rdev listens on %s\n", a.paint(bold, url))
	for _, project := range projects.list {
		fmt.Fprintf(w, "  project\t%s\t%s\n", project.name, printable(a.tilde(project.path)))
	}
	fmt.Fprintf(w, "  data\t%s\n", printable(a.tilde(c.DataDir)))
	_ = w.Flush()
	if made {
		fmt.Fprintf(a.stderr, "\nAdmin key, shown this once (the command line here reads it from %s):\n  %s\n",
			printable(a.tilde(localKeyPath(c.DataDir))), key.Reveal())
	}
	fmt.Fprintf(a.stderr, "\nNow try, in another terminal:\n  %s\n\n", a.paint(bold, printable(a.nextCommand(c, projects))))
}

// nextCommand is a command line that works as it stands.
func (a *app) nextCommand(c Config, projects *folders) string {
	var words []string
	switch {
	case c.AdminKeyFile != "":
		words = append(words, "RDEV_API_KEY_FILE="+shellWord(c.AdminKeyFile))
	case !c.AdminKey.IsZero():
		words = append(words, "RDEV_API_KEY=$RDEV_ADMIN_KEY")
	}
	if a.usualDataDir() != c.DataDir {
		words = append(words, "RDEV_DATA_DIR="+shellWord(c.DataDir))
	}
	if len(projects.list) == 0 { // pods come and go
		return strings.Join(append(words, programName(), "projects"), " ")
	}
	words = append(words, programName(), "run")
	if len(projects.list) > 1 {
		words = append(words, projects.list[0].name)
	}
	return strings.Join(append(words, "--", "ls", "-la"), " ")
}

// usualDataDir is the data folder in a shell where nothing more is set.
func (a *app) usualDataDir() string {
	c, err := loadConfig(pflag.NewFlagSet("", pflag.ContinueOnError), func(name string) string {
		if name == "RDEV_DATA_DIR" {
			return ""
		}
		return a.getenv(name)
	})
	if err != nil {
		return ""
	}
	return c.DataDir
}

// programName is how this program can be called again.
func programName() string {
	if found, err := exec.LookPath("rdev"); err == nil && sameFile(found, executable()) {
		return "rdev"
	}
	path := executable()
	if strings.Contains(path, string(filepath.Separator)+"go-build") { // go run
		if _, err := os.Stat(filepath.FromSlash("cmd/rdev/main.go")); err == nil {
			return "go run ./cmd/rdev"
		}
		return "go run github.com/orchard9/rdev/cmd/rdev@latest"
	}
	if path == "" {
		return "rdev"
	}
	return shellWord(path)
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, errOther := os.Stat(b)
	return err == nil && errOther == nil && os.SameFile(one, other)
}

// shellWord quotes a word for a POSIX shell if it needs that.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
