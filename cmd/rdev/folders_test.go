package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
)

func TestProjectName(t *testing.T) {
	for text, want := range map[string]string{
		"rdev":                          "rdev",
		"My App":                        "my-app",
		"_private__x_":                  "private-x",
		"Übung 1":                       "bung-1",
		"...":                           "project",
		"":                              "project",
		strings.Repeat("a", 70):         strings.Repeat("a", 63),
		strings.Repeat("a", 62) + " bc": strings.Repeat("a", 62),
	} {
		got := projectName(text)
		if got != want || !rdev.ValidProjectName(got) {
			t.Errorf("projectName(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"web", "api"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	t.Run("AreTheCurrentFolderIfNothingIsSaid", func(t *testing.T) {
		is := is.New(t)
		t.Chdir(filepath.Join(dir, "web"))
		f, err := parseFolders(nil, "")
		is.NoErr(err)
		is.Equal(len(f.list), 1)
		is.Equal(f.list[0].name, "web")
	})
	t.Run("AreListedByName", func(t *testing.T) {
		is := is.New(t)
		f, err := parseFolders([]string{filepath.Join(dir, "web"), "back=~/api"}, dir)
		is.NoErr(err)
		all, err := f.List(t.Context())
		is.NoErr(err)
		is.Equal([]string{all[0].Name, all[1].Name}, []string{"back", "web"})
		is.Equal(all[0].Status, rdev.StatusRunning)
		is.Equal(f.paths()["back"], filepath.Join(dir, "api"))
		_, err = f.Get(t.Context(), "none")
		is.True(errors.Is(err, rdev.ErrProjectNotFound))
	})
	t.Run("TellWhenTheFolderHasGone", func(t *testing.T) {
		is := is.New(t)
		gone := filepath.Join(dir, "gone")
		is.NoErr(os.Mkdir(gone, 0o700))
		f, err := parseFolders([]string{gone}, "")
		is.NoErr(err)
		is.NoErr(os.Remove(gone))
		p, err := f.Get(t.Context(), "gone")
		is.NoErr(err)
		is.Equal(p.Status, rdev.StatusNotFound)
	})
	t.Run("AreRefusedWithWhatToDo", func(t *testing.T) {
		web := filepath.Join(dir, "web")
		for _, bad := range []struct {
			specs []string
			want  string
		}{
			{[]string{"x=/no/such/folder"}, "there is no folder /no/such/folder"},
			{[]string{"x=" + filepath.Join(dir, "file")}, "is not a folder"},
			{[]string{"X=" + web}, `"X" cannot name a project`},
			{[]string{"x="}, "write --project name=path"},
			{[]string{web, "web=" + dir}, `two projects are called "web"`},
		} {
			_, err := parseFolders(bad.specs, "")
			var wrong *usageError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%q: got %v, want %q", bad.specs, err, bad.want)
			}
		}
	})
}
