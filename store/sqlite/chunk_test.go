package sqlite_test

import (
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/chunk"
)

func TestACorruptChunkIsAnError(t *testing.T) {
	is := is.New(t)
	path := file(t)
	s := open(t, path, nil)
	publish(t, s, "s", batch(1, 10, 10)...)
	closeStore(t, s)
	s = open(t, path, nil)
	_, err := s.Writer().ExecContext(t.Context(), `UPDATE chunks SET events = substr(events, 1, 20)`)
	is.NoErr(err)
	sub, err := s.Broker().Subscribe(t.Context(), "s", 0)
	is.NoErr(err)
	defer sub.Close()
	_, err = sub.Next(t.Context())
	is.True(errors.Is(err, chunk.ErrCorrupt))
}
