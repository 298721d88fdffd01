package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/orchard9/rdev/internal/pgtest"
)

// TestSecretsAreFoundNowhere runs a server at debug level, as a process of its
// own, gives it secrets in every place where it takes one, has commands print
// them and requests fail with them, and looks for them afterwards: in its log,
// its answers, its files and its database, as they are and encoded.
func TestSecretsAreFoundNowhere(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { findSentinels(t, "") })
	t.Run("Postgres", func(t *testing.T) { findSentinels(t, pgtest.New(t, nil)) })
}

// sentinels are the secrets of one run.
type sentinels struct {
	admin, pepper, password, masked, env, key, garbage string
}

func findSentinels(t *testing.T, dsn string) {
	s := sentinels{
		admin: "sentinel-admin-Zq7xW2mK9vB4nR8tY6", pepper: "sentinel-pepper-Jw3kD8sL5fG1hC7pX0", password: "sentinel-dbpass-Uv6yT1rE4w",
		masked: "sentinel-masked-Pl9oK8ij", env: "sentinel-envval-Mn5bV6cx", garbage: "sentinel-garbage-Qa2ws3ed",
	}
	dir := t.TempDir()
	home, project, data := filepath.Join(dir, "home"), filepath.Join(dir, "project"), filepath.Join(dir, "data")
	for _, d := range []string{home, project} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The script makes the secret that it prints from two halves, so that the
	// script's own text holds none.
	script := filepath.Join(project, "leak.sh")
	text := `one='` + s.masked[:12] + `'; two='` + s.masked[12:] + `'
echo "whole: $one$two"; echo "error: $one$two" >&2
printf 'split: %s' "$one"; sleep 0.4; printf '%s\n' "$two"
echo "env: $MY_TOKEN"
printf 'gh'; printf 'p_%s\n' 'aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3'
env
exit 3
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "RDEV_DATA_DIR=" + data, "RDEV_ADDR=127.0.0.1:0", "RDEV_METRICS_ADDR=" + freeAddr(t),
		"RDEV_PROJECTS=app=" + project, "RDEV_LOG_LEVEL=debug", "RDEV_LOG_FORMAT=json",
		"RDEV_MASK_FILES=" + file("masked", s.masked+"\n"), "RDEV_API_KEY=" + s.garbage,
	}
	if dsn == "" {
		env = append(env, "RDEV_ADMIN_KEY_FILE="+file("admin", s.admin+"\n"), "RDEV_PEPPER_FILE="+file("pepper", "p1:"+s.pepper+"\n"))
	} else {
		env = append(env, "RDEV_ADMIN_KEY="+s.admin, "RDEV_PEPPERS=p1:"+s.pepper, "RDEV_DATABASE_URL="+dsn)
		s.password = passwordOf(t, dsn)
	}
	r := &sentinelRun{t: t, env: env, data: data}
	r.start()
	r.use(&s)
	r.stop()

	places := map[string][]byte{"the log": []byte(r.log.String()), "the answers": []byte(r.answers.String())}
	readFiles(t, data, places)
	if dsn != "" {
		places["the database"] = dump(t, dsn)
	}
	for _, want := range []string{"whole: [masked]", "error: [masked]", "split: [masked]", "env: [masked]"} {
		if !bytes.Contains([]byte(r.answers.String()), []byte(want)) {
			t.Errorf("the answers lack %q, so this run shows nothing", want)
		}
	}
	for name, secret := range map[string]string{
		"admin key": s.admin, "pepper": s.pepper, "database password": s.password, "masked value": s.masked,
		"environment": s.env, "API key": s.key, "garbage": s.garbage,
	} {
		for form, text := range forms(secret) {
			for place, content := range places {
				if at := bytes.Index(content, []byte(text)); at >= 0 {
					t.Errorf("%s: there is the %s (%s): …%q…", place, name, form, content[max(0, at-60):min(len(content), at+len(text)+20)])
				}
			}
		}
	}
}

// forms are the ways in which a secret may be written.
func forms(secret string) map[string]string {
	all := map[string]string{
		"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"url": url.QueryEscape(secret),
	}
	// Within a longer text base64 has one of three forms.
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		all[fmt.Sprint("base64 ", shift)] = encoded[4 : len(encoded)-4]
	}
	return all
}

type sentinelRun struct {
	t       *testing.T
	env     []string
	data    string
	cmd     *exec.Cmd
	log     buffer
	answers buffer
	url     string
}

// start starts this test binary as rdev: see TestMain.
func (r *sentinelRun) start() {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	program := filepath.Join(r.t.TempDir(), "rdev")
	if err := os.Symlink(self, program); err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(program, "serve")
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = r.env, &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if r.url = endpoint(r.data); r.url != "" {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the server does not come up:\n%s", r.log.String())
		}
	}
}

func (r *sentinelRun) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("serve: %v\n%s", err, r.log.String())
	}
}

// do makes a request and keeps its answer, but for one that has to hold a secret.
func (r *sentinelRun) do(method, path, key, body string, keep bool) (status int, answer []byte) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	target := path
	if strings.HasPrefix(path, "/") {
		target = r.url + path
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body == "" {
		req.Body = nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if keep {
		fmt.Fprintf(&r.answers, "%s %d %v\n", method, resp.StatusCode, resp.Header)
		_, _ = r.answers.Write(answer)
	}
	return resp.StatusCode, answer
}

// use does all that may show a secret.
func (r *sentinelRun) use(s *sentinels) {
	r.t.Helper()
	status, answer := r.do("POST", "/keys", s.admin, `{"name":"ci","scopes":["projects:read","commands:shell","commands:read","streams:read","keys:read","audit:read"],"projects":["*"]}`, false)
	var made struct {
		Data struct {
			ID, Secret string
		}
	}
	if err := json.Unmarshal(answer, &made); err != nil || status != 201 {
		r.t.Fatalf("POST /keys: %d %s", status, answer)
	}
	s.key = made.Data.Secret[len("rdev_sk_")+13:] // without the id, which is public

	for _, body := range []string{
		`{"argv":["sh","leak.sh"],"env":{"MY_TOKEN":"` + s.env + `"}}`,
		`{"argv":["echo","` + s.masked + `","--api-key=` + made.Data.Secret + `"]}`,
		`{"argv":["no-such-program-` + s.masked + `"]}`,
	} {
		status, answer := r.do("POST", "/projects/app/shell", made.Data.Secret, body, true)
		var cmd struct {
			Data struct {
				ID string `json:"id"`
			}
		}
		if err := json.Unmarshal(answer, &cmd); err != nil || status != 201 {
			r.t.Fatalf("POST shell: %d %s", status, answer)
		}
		r.do("GET", "/projects/app/events?stream_id="+cmd.Data.ID, made.Data.Secret, "", true)
		r.do("GET", "/projects/app/commands/"+cmd.Data.ID, made.Data.Secret, "", true)
	}
	// Requests that fail, with secrets in places where they do not belong.
	secret := made.Data.Secret
	r.do("GET", "/projects?api_key="+secret, s.admin, "", true)
	r.do("GET", "/keys/"+secret, s.admin, "", true)
	r.do("GET", "/projects/"+s.admin+"/commands", s.admin, "", true)
	r.do("GET", "/"+s.admin, s.admin, "", true)
	r.do("GET", "/projects", s.garbage, "", true)
	r.do("GET", "/projects", secret[:len(secret)-1]+"x", "", true)
	r.do("POST", "/keys", secret, `{"name":"`+s.masked+`"}`, true)
	r.do("POST", "/projects/app/shell", secret, `{"command":"echo `+s.masked+`; true"}`, true)
	r.do("POST", "/projects/app/shell", secret, `{"command":{"`+s.garbage[:0]+`a":"`+s.masked+`"}}`, true)
	r.do("POST", "/projects/app/shell", secret, `{"argv":["x"],"cwd":"../`+s.masked+`"}`, true)
	r.do("POST", "/projects/app/shell", secret, `{"`, true)
	for _, path := range []string{"/readyz?verbose", "/healthz", "/audit?limit=200", "/projects/app/commands", "/keys", "/keys/" + made.Data.ID} {
		r.do("GET", path, s.admin, "", true)
	}
	for _, v := range r.env {
		if addr, is := strings.CutPrefix(v, "RDEV_METRICS_ADDR="); is {
			r.do("GET", "http://"+addr+"/metrics", "", "", true)
		}
	}
	r.do("DELETE", "/keys/"+made.Data.ID, s.admin, "", true)
	r.do("GET", "/projects", secret, "", true)
}

// passwordOf returns the password in the DSN of the test's database.
func passwordOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if len(password) < 8 {
		t.Fatal("the database of this test has no password to look for")
	}
	return password
}

// readFiles adds what is in the files below a folder.
func readFiles(t *testing.T, dir string, places map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump returns every row of every table as text; bytes are hexadecimal there,
// and as they are besides.
func dump(t *testing.T, dsn string) []byte {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	column := func(query string) (values []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		for rows.Next() {
			var value string
			if err := rows.Scan(&value); err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return values
	}
	var all bytes.Buffer
	tables := column(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
	if len(tables) < 5 {
		t.Fatalf("there are only the tables %v", tables)
	}
	for _, table := range tables {
		for _, row := range column(`SELECT t::text FROM "` + table + `" t`) {
			all.WriteString(row + "\n")
			for _, part := range strings.FieldsFunc(row, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) {
				if raw, err := hex.DecodeString(part); err == nil {
					all.Write(raw)
				}
			}
		}
	}
	return all.Bytes()
}
