package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

func TestOpenMakesTheFileForTheOwnerAlone(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	is.NoErr(s.Broker().Publish(t.Context(), "s", batch(1, 10, 100)))
	folder, err := os.Stat(filepath.Dir(path))
	is.NoErr(err)
	is.Equal(folder.Mode().Perm(), os.FileMode(0o700))
	entries, err := os.ReadDir(filepath.Dir(path))
	is.NoErr(err)
	is.True(len(entries) >= 4) // the file, its WAL, its index, its lock
	for _, entry := range entries {
		info, err := entry.Info()
		is.NoErr(err)
		is.Equal(info.Mode().Perm(), os.FileMode(0o600)) // permissions of a file in the folder
	}
}

func TestOpenTakesAwayThePermissionsOfOthers(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "rdev.db")
	is.NoErr(os.WriteFile(path, nil, 0o644))
	open(t, path, nil)
	info, err := os.Stat(path)
	is.NoErr(err)
	is.Equal(info.Mode().Perm(), os.FileMode(0o600))
}

func TestASecondOpenNamesTheFile(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	_, err := sqlite.Open(t.Context(), path, nil)
	is.True(errors.Is(err, sqlite.ErrInUse))
	is.True(strings.Contains(err.Error(), path))
	is.NoErr(s.Broker().Publish(t.Context(), "s", batch(1, 1, 1))) // the first is not disturbed
	closeStore(t, s)
	open(t, path, nil)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path    string
		options *sqlite.Options
		says    string
	}{
		"NoPath":    {"", nil, "path is empty"},
		"AFolder":   {folder, nil, folder},
		"AFileOnIt": {filepath.Join(garbage, "rdev.db"), nil, "not a directory"},
		"NoSQLite":  {garbage, nil, "not a database"},
		"Timeout":   {filepath.Join(folder, "a.db"), &sqlite.Options{Timeout: -1}, "Options.Timeout"},
		"Readers":   {filepath.Join(folder, "a.db"), &sqlite.Options{Readers: -1}, "Options.Readers"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			_, err := sqlite.Open(t.Context(), test.path, test.options)
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), "store/sqlite: open "))
			if !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v does not say %q", err, test.says)
			}
		})
	}
}

func TestAPathMayHoldAnyCharacter(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "a b?c#d%20e&f;é", "rdev?mode=memory.db")
	s := open(t, path, nil)
	is.NoErr(s.Broker().Publish(t.Context(), "s", batch(1, 10, 100)))
	closeStore(t, s)
	info, err := os.Stat(path)
	is.NoErr(err)
	is.True(info.Size() > 0)
}

func TestEverythingSurvivesAReopen(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	key := auth.Key{ID: "000000000000", Hash: []byte("hash"), CreatedAt: time.Unix(1, 0).UTC()}
	is.NoErr(s.Keys().Create(t.Context(), key, nil))
	command, _, err := s.Commands().Insert(t.Context(), rdev.Command{ID: "cmd-1", State: rdev.StateQueued})
	is.NoErr(err)
	is.NoErr(s.Broker().Publish(t.Context(), "s", batch(1, 10, 100)))
	is.NoErr(s.Broker().Close(t.Context(), "s"))
	closeStore(t, s)

	s = open(t, path, nil)
	gotKey, err := s.Keys().Get(t.Context(), key.ID)
	is.NoErr(err)
	is.Equal(gotKey, key)
	gotCommand, err := s.Commands().Get(t.Context(), command.ID)
	is.NoErr(err)
	is.Equal(gotCommand, command)
	sub, err := s.Broker().Subscribe(t.Context(), "s", 0)
	is.NoErr(err)
	defer sub.Close()
	is.Equal(sub.Head(), stream.Head{First: 1, Seq: 10, Closed: true})
	got, err := sub.Next(t.Context())
	is.NoErr(err)
	is.Equal(got, batch(1, 10, 100))
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	is := is.New(t)
	s := open(t, file(t), nil)
	sub, err := s.Broker().Subscribe(t.Context(), "s", 0)
	is.NoErr(err)
	closeStore(t, s)
	closeStore(t, s) // again is nil
	_, err = sub.Next(t.Context())
	is.True(errors.Is(err, stream.ErrClosed))
	is.True(errors.Is(s.Broker().Publish(t.Context(), "s", batch(1, 1, 1)), stream.ErrClosed))
	is.True(errors.Is(s.Broker().Close(t.Context(), "s"), stream.ErrClosed))
	_, err = s.Broker().Subscribe(t.Context(), "s", 0)
	is.True(errors.Is(err, stream.ErrClosed))
	_, err = s.Keys().Get(t.Context(), "x")
	is.True(err != nil)
	_, err = s.Commands().Get(t.Context(), "x")
	is.True(err != nil)
	is.True(s.Retain(t.Context()) != nil)
}

// TestCloseWhilePublishing closes the store under publishers: each batch is
// there if and only if it was acknowledged, but for the ones that were refused
// with another error than ErrClosed.
func TestCloseWhilePublishing(t *testing.T) {
	path := file(t)
	s := open(t, path, nil)
	const publishers = 8
	acknowledged := make(chan uint64, publishers)
	started := make(chan struct{}, publishers)
	for n := range publishers {
		go func() {
			id := string(rune('a' + n))
			seq := uint64(0)
			for s.Broker().Publish(context.Background(), id, []stream.Event{numbered(id, seq+1)}) == nil {
				if seq++; seq == 5 {
					started <- struct{}{}
				}
			}
			acknowledged <- seq
		}()
	}
	for range publishers {
		<-started
	}
	closeStore(t, s)
	total := uint64(0)
	for range publishers {
		total += <-acknowledged
	}
	s = open(t, path, nil)
	stored := uint64(0)
	for n := range publishers {
		sub, err := s.Broker().Subscribe(t.Context(), string(rune('a'+n)), 0)
		if err != nil {
			t.Fatal(err)
		}
		stored += sub.Head().Seq
		sub.Close()
		expectDense(t, s, string(rune('a'+n)), 5)
	}
	if stored != total {
		t.Fatalf("%d events are stored, %d were acknowledged", stored, total)
	}
}

func TestAPublisherThatGivesUpInTheQueuePublishesNothing(t *testing.T) {
	is := is.New(t)
	s := open(t, file(t), &sqlite.Options{Timeout: time.Minute})
	release := s.Hold()
	waiting := make(chan error, 1)
	go func() { waiting <- s.Broker().Publish(context.Background(), "a", batch(1, 1, 1)) }()
	for !sqlite.SomebodyWrites() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Broker().Publish(ctx, "b", batch(1, 1, 1))
	is.True(errors.Is(err, context.DeadlineExceeded))
	release()
	is.NoErr(<-waiting)
	is.NoErr(s.Broker().Close(t.Context(), "b"))
	sub, err := s.Broker().Subscribe(t.Context(), "b", 0)
	is.NoErr(err)
	defer sub.Close()
	is.Equal(sub.Head(), stream.Head{First: 1, Closed: true})
}

func TestEveryQueryHasADeadline(t *testing.T) {
	is := is.New(t)
	s := open(t, file(t), &sqlite.Options{Timeout: 50 * time.Millisecond})
	none := context.Background()
	release := s.Hold()
	is.True(errors.Is(s.Broker().Publish(none, "s", batch(1, 1, 1)), context.DeadlineExceeded))
	is.True(errors.Is(s.Keys().Create(none, auth.Key{ID: "x"}, nil), context.DeadlineExceeded))
	_, _, err := s.Commands().Insert(none, rdev.Command{ID: "x"})
	is.True(errors.Is(err, context.DeadlineExceeded))
	release()
	for s.Broker().Publish(none, "s", batch(1, 1, 1)) != nil { // a busy machine may take longer, once or twice
		is.NoErr(t.Context().Err())
	}
}

func TestALockOfAnotherProgramIsNotAwaitedForEver(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, &sqlite.Options{Timeout: 50 * time.Millisecond})
	other, err := sql.Open("sqlite", "file:"+path)
	is.NoErr(err)
	defer other.Close()
	tx, err := other.Begin()
	is.NoErr(err)
	_, err = tx.Exec(`UPDATE audit_head SET seq = seq`)
	is.NoErr(err)
	began := time.Now()
	err = s.Broker().Publish(context.Background(), "s", batch(1, 1, 1))
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "locked"))
	is.True(time.Since(began) < 4*time.Second)
	is.NoErr(tx.Rollback())
	is.NoErr(s.Broker().Publish(context.Background(), "s", batch(1, 1, 1)))
}

func TestTheSecretsOfEndedCommandsAreGoneFromTheFile(t *testing.T) {
	is := is.New(t)
	const canary = "canary-4711"
	path := file(t)
	s := open(t, path, nil)
	inFile := func() bool {
		_, err := s.Writer().ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`)
		is.NoErr(err)
		content, err := os.ReadFile(path)
		is.NoErr(err)
		return bytes.Contains(content, []byte(canary)) || bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString([]byte(canary + " " + canary)))[:20])
	}
	for _, id := range []string{"cmd-1", "cmd-2"} {
		_, _, err := s.Commands().Insert(t.Context(), rdev.Command{
			ID: id, State: rdev.StateQueued, Spec: exec.Command{
				Env:   map[string]string{"TOKEN": canary},
				Stdin: bytes.Repeat([]byte(canary+" "), 10_000), // does not fit a page
			},
		})
		is.NoErr(err)
	}
	is.True(inFile())
	for _, id := range []string{"cmd-1", "cmd-2"} {
		_, err := s.Commands().Update(t.Context(), id, func(c *rdev.Command) error {
			c.State = rdev.StateFailed
			return nil
		})
		is.NoErr(err)
	}
	is.True(!inFile())
}
