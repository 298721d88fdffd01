package deploytest

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/orchard9/rdev/internal/kubetest"
)

// root is the folder of the module.
const root = "../.."

// base is what rdev's image stands on. It cannot be had without a registry: what
// matters of it is its user, and that it has neither a shell nor a library.
const base = "gcr.io/distroless/static-debian12:nonroot"

// baseFiles is what that image has, as far as a static program sees it.
var baseFiles = []kubetest.File{
	{Path: "etc", Mode: fs.ModeDir | 0o755},
	{Path: "etc/passwd", Mode: 0o644, Data: "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"},
	{Path: "etc/group", Mode: 0o644, Data: "root:x:0:\nnonroot:x:65532:\n"},
	{Path: "home", Mode: fs.ModeDir | 0o755},
	{Path: "home/nonroot", Mode: fs.ModeDir | 0o700, ID: 65532},
	{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
}

// An instruction is one of a Dockerfile.
type instruction struct{ word, rest string }

// dockerfile reads deploy/Dockerfile: its stages, each beginning with FROM.
func dockerfile(t *testing.T) [][]instruction {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var stages [][]instruction
	joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(string(text), "")
	for line := range strings.SplitSeq(joined, "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if word == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) == 0 {
			t.Fatalf("%s before FROM", line)
		}
		stages[len(stages)-1] = append(stages[len(stages)-1], instruction{word, strings.TrimSpace(rest)})
	}
	return stages
}

// imageOfDockerfile makes the image that the Dockerfile describes: it runs the
// build stage's last RUN in this folder, with paths of the image below out, and
// takes the final stage word by word. What it does not know fails the test.
func imageOfDockerfile(t *testing.T, reference string) kubetest.Build {
	t.Helper()
	stages := dockerfile(t)
	if len(stages) != 2 || stages[0][0].rest != "golang:1.26 AS build" || stages[1][0].rest != base {
		t.Fatalf("the stages of the Dockerfile are not those that this test knows: %q", stages)
	}
	out := t.TempDir()
	build := stages[0][len(stages[0])-1]
	if build.word != "RUN" {
		t.Fatalf("the build stage ends with %s", build.word)
	}
	script := regexp.MustCompile(` (/[a-z]+)`).ReplaceAllString(build.rest, " "+out+"$1")
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, text)
	}

	image := kubetest.Build{Reference: reference, User: "65532", WorkingDir: "/home/nonroot", Files: baseFiles}
	for _, step := range stages[1][1:] {
		words := strings.Fields(step.rest)
		switch step.word {
		case "COPY":
			image.Files = append(image.Files, copied(t, words, out))
		case "USER":
			image.User = step.rest
		case "ENV":
			image.Env = append(image.Env, words...)
		case "VOLUME":
			image.Volumes = append(image.Volumes, words...)
		case "STOPSIGNAL":
			image.StopSignal = step.rest
		case "ENTRYPOINT":
			image.Entrypoint = list(t, step.rest)
		case "CMD":
			image.Cmd = list(t, step.rest)
		case "EXPOSE": // for people
		default:
			t.Fatalf("this test does not know %s of the Dockerfile", step.word)
		}
	}
	return image
}

// copied is what COPY --from=build [--chown=N:N] FROM TO brings in.
func copied(t *testing.T, words []string, out string) kubetest.File {
	t.Helper()
	var file kubetest.File
	var paths []string
	for _, word := range words {
		owner, isOwner := strings.CutPrefix(word, "--chown=")
		switch {
		case word == "--from=build":
		case isOwner:
			user, group, _ := strings.Cut(owner, ":")
			id, err := strconv.Atoi(user)
			if err != nil || group != user {
				t.Fatalf("COPY %s: not a number twice", word)
			}
			file.ID = id
		default:
			paths = append(paths, word)
		}
	}
	if len(paths) != 2 || len(words) < 3 {
		t.Fatalf("COPY %q is not from the build stage", words)
	}
	from := filepath.Join(out, paths[0])
	info, err := os.Stat(from)
	if err != nil {
		t.Fatalf("COPY %s: %v", paths[0], err)
	}
	file.Path, file.Mode = strings.TrimPrefix(path.Clean(paths[1]), "/"), info.Mode()
	if !info.IsDir() {
		file.From = from
	}
	return file
}

func list(t *testing.T, text string) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatalf("%s is not a list in JSON: %v", text, err)
	}
	return words
}
