package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/doctor"
	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
)

// diagnosis is what rdev doctor --json prints.
type diagnosis struct {
	OK     bool             `json:"ok"`
	Checks []doctor.Finding `json:"checks"`
}

// find returns the check's worst finding.
func (d diagnosis) find(check string) doctor.Finding {
	var worst doctor.Finding
	for _, f := range d.Checks {
		if f.Check == check && (worst.Check == "" || f.State == doctor.Fail || f.State == doctor.Warn && worst.State == doctor.OK) {
			worst = f
		}
	}
	return worst
}

// examine runs rdev doctor with the variables besides those of p.
func (p *program) examine(variables ...string) (diagnosis, int) {
	p.t.Helper()
	given := vars(variables...)
	code, stdout, stderr := p.call(func(name string) string {
		if value := given(name); value != "" {
			return value
		}
		return p.getenv(name)
	}, "doctor", "--json")
	var d diagnosis
	if err := json.Unmarshal(stdout, &d); err != nil {
		p.t.Fatalf("%v in %s%s", err, stdout, stderr)
	}
	if d.OK != (code == 0) {
		p.t.Errorf("exit code %d and ok %v", code, d.OK)
	}
	return d, code
}

// behind puts a proxy that changes answers before the server.
func (p *program) behind(change func(*http.Response) error) (variables []string) {
	p.t.Helper()
	target, err := url.Parse(endpoint(p.dir))
	if err != nil {
		p.t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval:  -1,
		ModifyResponse: change,
	})
	p.t.Cleanup(proxy.Close)
	return []string{"RDEV_SERVER", proxy.URL, "RDEV_API_KEY_FILE", localKeyPath(p.dir)}
}

// hold is what a proxy does that buffers: it passes an answer on when it has
// all of it.
func hold(r *http.Response) error {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func TestDoctorOnAServer(t *testing.T) {
	for _, level := range []string{"restricted", "permissive"} { // the latter lets it print lines
		t.Run("AllIsWellWith/"+level, func(t *testing.T) {
			is := is.New(t)
			p := serving(t, "--policy", level)
			is.NoErr(os.Chmod(p.dir, 0o700)) // one that was there before
			d, code := p.examine()
			is.Equal(code, 0)
			for _, check := range []string{"server", "server-clock", "ready", "version", "key", "projects", "server-streaming", "folders", "sh", "streaming", "git", "data", "schema"} {
				is.Equal(d.find(check).State, doctor.OK)
			}
			d, _ = p.examine(p.behind(hold)...)
			f := d.find("server-streaming")
			is.Equal(f.State, doctor.Fail)
			is.True(strings.Contains(f.Mend, "proxy_buffering off"))
			is.Equal(d.find("key").State, doctor.OK)
			is.Equal(d.find("folders").Check, "") // the server is elsewhere
			d, code = p.examine(p.behind(func(*http.Response) error { return nil })...)
			is.Equal(code, 0)
			is.Equal(d.find("server-streaming").State, doctor.OK)
		})
	}
	p := serving(t)
	t.Run("AClockThatIsWrongIsNamed", func(t *testing.T) {
		is := is.New(t)
		d, code := p.examine(p.behind(func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			return nil
		})...)
		is.Equal(code, exitFailed)
		f := d.find("server-clock")
		is.Equal(f.State, doctor.Fail)
		is.True(strings.Contains(f.Detail, "ahead of this machine's"))
		is.True(strings.Contains(f.Mend, "NTP"))
	})
	t.Run("AnotherVersionIsNamed", func(t *testing.T) {
		is := is.New(t)
		d, code := p.examine(p.behind(func(r *http.Response) error {
			if r.Request.URL.Path != "/readyz" {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Header.Del("Content-Length")
			r.ContentLength = -1
			r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(`"version":"`), []byte(`"version":"v9.9.9 `), 1)))
			return nil
		})...)
		is.Equal(code, 0)
		f := d.find("version")
		is.Equal(f.State, doctor.Warn)
		is.True(strings.Contains(f.Detail, "the server is rdev v9.9.9"))
	})
	t.Run("AWrongKeyIsNamedAndNotShown", func(t *testing.T) {
		is := is.New(t)
		const wrong = "a-wrong-key-that-is-not-to-be-seen"
		d, code := p.examine("RDEV_SERVER", endpoint(p.dir), "RDEV_API_KEY", wrong)
		is.Equal(code, exitFailed)
		is.Equal(d.find("key").State, doctor.Fail)
		text, err := json.Marshal(d)
		is.NoErr(err)
		is.True(!strings.Contains(string(text), wrong))
	})
	t.Run("AKeyThatMayOnlyLookIsEnoughToLook", func(t *testing.T) {
		is := is.New(t)
		code, secret, stderr := p.call(p.getenv, "keys", "create", "looker", "--scope", "projects:read")
		t.Logf("%s", stderr)
		is.Equal(code, 0)
		d, code := p.examine("RDEV_SERVER", endpoint(p.dir), "RDEV_API_KEY", strings.TrimSpace(string(secret)))
		is.Equal(code, 0)
		f := d.find("server-streaming")
		is.Equal(f.State, doctor.Warn)
		is.True(strings.Contains(f.Mend, "commands:shell"))
	})
	t.Run("AServerThatIsAwayIsNamed", func(t *testing.T) {
		is := is.New(t)
		d, code := p.examine("RDEV_SERVER", "http://127.0.0.1:1", "RDEV_API_KEY_FILE", localKeyPath(p.dir))
		is.Equal(code, exitFailed)
		is.True(strings.Contains(d.find("server").Detail, "connection refused"))
	})
	t.Run("SomethingElseAtTheAddressIsNamed", func(t *testing.T) {
		is := is.New(t)
		other := httptest.NewServer(http.NotFoundHandler())
		defer other.Close()
		d, code := p.examine("RDEV_SERVER", other.URL, "RDEV_API_KEY_FILE", localKeyPath(p.dir))
		is.Equal(code, exitFailed)
		is.True(strings.Contains(d.find("server").Detail, "is no rdev server"))
	})
}

func TestDoctorOnPostgres(t *testing.T) {
	dsn := pgtest.New(t, nil)
	dir := t.TempDir()
	p := &program{t: t, dir: dir, getenv: vars("HOME", dir, "RDEV_DATA_DIR", dir, "RDEV_PROJECTS", "here="+dir, "RDEV_DATABASE_URL", dsn)}
	t.Run("OneWithoutASchemaIsWell", func(t *testing.T) {
		is := is.New(t)
		d, code := p.examine()
		is.Equal(code, 0)
		is.Equal(d.find("database").State, doctor.OK)
		is.Equal(d.find("database-clock").State, doctor.OK)
		is.True(strings.Contains(d.find("schema").Detail, "no schema yet"))
		is.Equal(d.find("server").State, doctor.Warn) // there is none
	})
	t.Run("OneThatIsUpToDateIsWell", func(t *testing.T) {
		is := is.New(t)
		is.NoErr(postgres.Migrate(t.Context(), dsn))
		d, code := p.examine()
		is.Equal(code, 0)
		is.Equal(d.find("schema").State, doctor.OK)
		is.True(strings.Contains(d.find("schema").Detail, "as this rdev needs it"))
		d, code = p.examine("RDEV_DATABASE_POOLED", "true")
		is.Equal(code, 0)
		is.Equal(d.find("schema").State, doctor.OK)
	})
	t.Run("ANewerSchemaIsAFailure", func(t *testing.T) {
		is := is.New(t)
		db, err := sql.Open("postgres", dsn)
		is.NoErr(err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
		is.NoErr(err)
		d, code := p.examine()
		is.Equal(code, exitFailed)
		is.True(strings.Contains(d.find("schema").Detail, "version 9999"))
	})
	t.Run("OneThatIsAwayIsNamedWithoutThePassword", func(t *testing.T) {
		is := is.New(t)
		d, code := p.examine("RDEV_DATABASE_URL", "postgres://rdev:sesame@127.0.0.1:1/rdev?sslmode=disable")
		is.Equal(code, exitFailed)
		f := d.find("database")
		is.Equal(f.State, doctor.Fail)
		is.True(strings.Contains(f.Mend, "RDEV_DATABASE_URL"))
		text, err := json.Marshal(d)
		is.NoErr(err)
		is.True(!strings.Contains(string(text), "sesame"))
	})
}
