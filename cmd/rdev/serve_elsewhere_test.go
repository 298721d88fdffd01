package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
)

// TestACommandOutlivesItsProject: a server is killed while a command runs, and
// the next one on the same data, started in another folder, has another project.
// It follows the command to its end all the same.
func TestACommandOutlivesItsProject(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	is.NoErr(os.Mkdir(here, 0o700))
	is.NoErr(os.Mkdir(there, 0o700))
	start := func(project string) *process {
		_ = os.Remove(endpointPath(dir)) // of the one that was killed
		return startProcessIn(t, dir, "RDEV_PROJECTS="+project, "RDEV_POLICY=permissive")
	}
	kill := func(p *process) {
		is.NoErr(p.cmd.Process.Kill())
		<-p.done
	}
	first := start("here=" + here)
	status, answer := first.ask(http.MethodPost, "/projects/here/shell",
		`{"argv": ["sh", "-c", "echo up; echo ran >>ran; while [ ! -e go ]; do sleep 0.05; done; exit 4"]}`)
	is.Equal(status, http.StatusCreated)
	var created struct{ Data struct{ ID string } }
	is.NoErr(json.Unmarshal([]byte(answer), &created))
	first.until("it runs", func() bool { _, err := os.Stat(filepath.Join(here, "ran")); return err == nil })
	kill(first)

	second := start("there=" + there)
	is.NoErr(os.WriteFile(filepath.Join(here, "go"), nil, 0o600))
	// What is kept of a command where it ran goes when its end is recorded.
	second.until("the end is recorded", func() bool {
		_, err := os.Stat(filepath.Join(dir, "commands", "v1", created.Data.ID))
		return os.IsNotExist(err)
	})
	kill(second)

	third := start("here=" + here)
	status, answer = third.ask(http.MethodGet, "/projects/here/commands/"+created.Data.ID, "")
	is.Equal(status, http.StatusOK)
	var got struct {
		Data struct {
			State  string
			Result struct {
				ExitCode int `json:"exit_code"`
			}
		}
	}
	is.NoErr(json.Unmarshal([]byte(answer), &got))
	is.Equal(got.Data.State, "failed")
	is.Equal(got.Data.Result.ExitCode, 4)
	third.terminate() // and the supervisor of the commands
	third.ended()
}
