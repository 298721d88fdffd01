package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/pgtest"
)

// sharing starts `rdev serve` on the database, with a data folder of its own.
func sharing(t *testing.T, dsn string) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{t: t, dir: dir, getenv: vars("HOME", dir, "RDEV_DATA_DIR", dir, "RDEV_ADDR", "127.0.0.1:0", "RDEV_PROJECTS", "here="+dir,
		"RDEV_DATABASE_URL", dsn, "RDEV_ADMIN_KEY", sharedKey)}
	ctx, stop := context.WithCancel(context.Background())
	var said buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve"}, p.getenv, strings.NewReader(""), io.Discard, &said) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("serve ended with %d:\n%s", code, said.String())
		}
	})
	for deadline := time.Now().Add(patience); endpoint(dir) == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", said.String())
		}
	}
	return p
}

const sharedKey = "admin-key-of-several-servers-of-no-use-elsewhere"

// client is the environment of the command line, with a key.
func (p *program) client(key string) func(string) string {
	return vars("HOME", p.dir, "RDEV_SERVER", endpoint(p.dir), "RDEV_API_KEY", key)
}

func TestServersThatShareADatabase(t *testing.T) {
	dsn := pgtest.New(t, nil)
	a, b := sharing(t, dsn), sharing(t, dsn)
	t.Run("OneShowsWhatAnotherRan", func(t *testing.T) {
		is := is.New(t)
		code, stdout, stderr := a.call(a.client(sharedKey), "run", "--", "echo", "hello")
		is.Equal(string(stdout), "hello\n")
		is.Equal(code, 0)
		is.Equal(string(stderr), "")
		// The record of an end follows the end itself; the server that ran the
		// command waits for it, another one may be asked a moment too early.
		deadline := time.Now().Add(30 * time.Second)
		for !bytes.Contains(stdout, []byte(`"succeeded"`)) {
			is.True(time.Now().Before(deadline))
			_, stdout, _ = b.call(b.client(sharedKey), "ps", "-o", "jsonl")
		}
	})
	t.Run("AKeyOfOneIsAKeyOfAll", func(t *testing.T) {
		is := is.New(t)
		code, stdout, stderr := a.call(a.client(sharedKey), "keys", "create", "ci", "--scope", "projects:read", "-o", "json")
		t.Logf("%s %s", stdout, stderr)
		is.Equal(code, 0)
		i := bytes.Index(stdout, []byte("rdev_sk_"))
		is.True(i >= 0)
		key, _, _ := strings.Cut(string(stdout[i:]), `"`)
		code, _, _ = b.call(b.client(key), "projects")
		is.Equal(code, 0)
	})
}

func TestASharedDatabaseNeedsAnAdminKey(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	var said bytes.Buffer
	code := run(t.Context(), []string{"serve"}, vars("HOME", dir, "RDEV_DATA_DIR", dir, "RDEV_ADDR", "127.0.0.1:0", "RDEV_PROJECTS", "here="+dir,
		"RDEV_DATABASE_URL", "postgres://u:s3cret@127.0.0.1:1/db?sslmode=disable"), strings.NewReader(""), io.Discard, &said)
	is.Equal(code, 2)
	is.True(strings.Contains(said.String(), "RDEV_ADMIN_KEY_FILE"))
	is.True(!strings.Contains(said.String(), "s3cret"))
}

func TestTheDatabaseURLIsNotPrinted(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	code := run(t.Context(), []string{"serve", "--print-config"}, vars("HOME", t.TempDir(), "RDEV_DATABASE_URL", "postgres://u:s3cret@h/db"), strings.NewReader(""), &out, io.Discard)
	is.Equal(code, 0)
	is.True(strings.Contains(out.String(), "# database_url: set"))
	is.True(!strings.Contains(out.String(), "s3cret"))
}
