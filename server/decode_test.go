package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestBodies: each is refused with the field named, and nothing runs.
func TestBodies(t *testing.T) {
	st := newStand(t, nil)
	shell, git, claude := "/projects/web/shell", "/projects/web/git", "/projects/web/claude"
	for _, row := range []struct{ name, path, body, field string }{
		{"UnknownField", shell, `{"argv":["echo"],"shell":true}`, "shell"},
		{"UnknownNestedName", "/keys", `{"name":"x","scopes":[],"projects":[],"admin":true}`, "admin"},
		{"DuplicateField", shell, `{"argv":["echo"],"argv":["fail"]}`, "argv"},
		{"DuplicateSpelledWithAnEscape", shell, `{"argv":["echo"],"\u0061rgv":["fail"]}`, "argv"},
		{"DuplicateVariable", shell, `{"argv":["echo"],"env":{"A":"1","A":"2"}}`, "env.A"},
		{"WrongCase", shell, `{"Argv":["echo"]}`, "Argv"},
		{"TrailingData", shell, `{"argv":["echo"]} {}`, "body"},
		{"TrailingComma", shell, `{"argv":["echo"],}`, "body"},
		{"Comment", shell, `{"argv":["echo"]} // really`, "body"},
		{"InvalidUTF8", shell, "{\"argv\":[\"echo\",\"\xff\"]}", "argv[1]"},
		{"LoneSurrogate", shell, `{"argv":["echo","\ud800"]}`, "argv[1]"},
		{"ByteOrderMark", shell, "\xef\xbb\xbf" + `{"argv":["echo"]}`, "body"},
		{"Null", shell, `null`, "body"},
		{"List", shell, `[]`, "body"},
		{"String", shell, `"echo"`, "body"},
		{"Space", shell, "  \n", "body"},
		{"HalfAnObject", shell, `{"argv":["echo"`, "argv"},
		{"WrongType", shell, `{"argv":"echo"}`, "argv"},
		{"WrongElement", shell, `{"argv":["echo",1]}`, "argv[1]"},
		{"NUL", shell, `{"argv":["echo","a\u0000b"]}`, "argv[1]"},
		{"EmptyArgv", shell, `{"argv":[]}`, "argv"},
		{"EmptyProgram", shell, `{"argv":[""]}`, "argv"},
		{"Nothing", shell, `{}`, "command"},
		{"EmptyCommand", shell, `{"command":"   "}`, "command"},
		{"BothWays", shell, `{"command":"echo","argv":["echo"]}`, "command"},
		{"NULInDir", shell, `{"argv":["echo"],"cwd":"a\u0000"}`, "cwd"},
		{"BadVariable", shell, `{"argv":["echo"],"env":{"A=B":"1"}}`, "env"},
		{"TimeoutAsWord", shell, `{"argv":["echo"],"timeout":"soon"}`, "timeout"},
		{"TimeoutNegative", shell, `{"argv":["echo"],"timeout":-1}`, "timeout"},
		{"TimeoutZero", shell, `{"argv":["echo"],"timeout":0}`, "timeout"},
		{"TimeoutHuge", shell, `{"argv":["echo"],"timeout":1e300}`, "timeout"},
		{"TimeoutTooLong", shell, `{"argv":["echo"],"timeout":"1000h"}`, "timeout"},
		{"TimeoutAsList", shell, `{"argv":["echo"],"timeout":[1]}`, "timeout"},
		{"TimeoutNull", shell, `{"argv":["echo"],"timeout":null}`, "timeout"},
		{"FolderNull", shell, `{"argv":["echo"],"cwd":null}`, "cwd"},
		{"VariableNull", shell, `{"argv":["echo"],"env":{"A":null}}`, "env.A"},
		{"ArgumentNull", git, `{"args":["status",null]}`, "args[1]"},
		{"GitWithoutArgs", git, `{"args":[]}`, "args"},
		{"GitNUL", git, `{"args":["status","\u0000"]}`, "args[1]"},
		{"ClaudeWithoutPrompt", claude, `{"prompt":" "}`, "prompt"},
		{"ClaudeTurns", claude, `{"prompt":"x","max_turns":-1}`, "max_turns"},
		{"ClaudeTurnsFraction", claude, `{"prompt":"x","max_turns":1.5}`, "max_turns"},
		{"KeyWithoutName", "/keys", `{"scopes":["projects:read"],"projects":["web"]}`, "name"},
		{"KeyUnknownScope", "/keys", `{"name":"x","scopes":["all"],"projects":["web"]}`, "scopes[0]"},
		{"KeyBadPattern", "/keys", `{"name":"x","scopes":["projects:read"],"projects":["a*b"]}`, "projects[0]"},
		{"KeyBadTime", "/keys", `{"name":"x","scopes":["projects:read"],"projects":["web"],"expires_at":"tomorrow"}`, "expires_at"},
		{"KeyPast", "/keys", `{"name":"x","scopes":["projects:read"],"projects":["web"],"expires_at":"2001-01-01T00:00:00Z"}`, "expires_at"},
		{"RotateGrace", "/keys/000000000000/rotate", `{"grace":"200h"}`, "grace"},
		{"TooLarge", shell, `{"argv":["` + strings.Repeat("x", 1<<20) + `"]}`, "body"},
		{"Deep", shell, `{"argv":` + strings.Repeat("[", 20_000), "argv"},
	} {
		t.Run(row.name, func(t *testing.T) {
			is := is.New(t)
			a := st.do("POST", row.path, row.body)
			is.Equal(a.status, http.StatusBadRequest)
			is.Equal(a.code(), "INVALID_ARGUMENT")
			if !strings.HasPrefix(a.field(), row.field) {
				t.Errorf("field %q, want %q: %s", a.field(), row.field, a.body)
			}
			is.True(len(a.body) < 1000)
		})
	}
	t.Run("NothingRan", func(t *testing.T) {
		is := is.New(t)
		is.Equal(len(st.records.commands), 0)
	})

	for name, timeout := range map[string]string{"Seconds": `30`, "Fraction": `0.5`, "Text": `"1m30s"`} {
		t.Run("TakesATimeoutAs"+name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(st.do("POST", shell, `{"argv":["echo"],"timeout":`+timeout+`}`).status, http.StatusCreated)
		})
	}

	t.Run("AValueIsNotRepeated", func(t *testing.T) {
		is := is.New(t)
		for _, body := range []string{`{"argv":"hunter2"}`, `{"argv":["echo"],"timeout":"hunter2"}`, `{"argv":["echo"],"env":{"A":hunter2}}`} {
			is.True(!strings.Contains(st.do("POST", shell, body).body, "hunter2"))
		}
	})

	t.Run("OnlyJSONIsTaken", func(t *testing.T) {
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "application/jsonx", "nonsense/"} {
			is := is.New(t)
			a := st.do("POST", shell, `{"argv":["echo"]}`, "Content-Type", contentType)
			is.Equal(a.status, http.StatusUnsupportedMediaType)
			is.Equal(a.code(), "UNSUPPORTED_MEDIA_TYPE")
		}
		is := is.New(t)
		is.Equal(st.do("POST", shell, `{"argv":["echo"]}`, "Content-Encoding", "gzip").status, http.StatusUnsupportedMediaType)
		is.Equal(st.do("POST", shell, `{"argv":["echo"]}`, "Content-Type", "Application/JSON; charset=UTF-8").status, http.StatusCreated)
	})

	t.Run("ABodyWhereNoneBelongsIsRefused", func(t *testing.T) {
		is := is.New(t)
		is.Equal(st.do("GET", "/projects", "{}").field(), "body")
		is.Equal(st.do("DELETE", "/keys/000000000000", "{}").field(), "body")
	})
}

// FuzzBody: whatever is posted, the answer is an envelope, and a refusal is the
// caller's fault and not the server's.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"argv":["echo","hi"]}`, `{"command":"echo hi","cwd":"a","env":{"A":"b"},"timeout":"1s"}`, `null`, `{"argv":[`, `{"timeout":1e999}`, "{\"argv\":[\"\xff\"]}",
	} {
		f.Add(seed)
	}
	st := newStand(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		if body == "" {
			return
		}
		a := st.in(t).do("POST", "/projects/web/shell", body)
		switch a.status {
		case http.StatusCreated:
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			if a.code() == "" {
				t.Errorf("no envelope: %s", a.body)
			}
		default:
			t.Errorf("%d for %q", a.status, body)
		}
	})
}
