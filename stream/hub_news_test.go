package stream_test

import (
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream"
)

// What a Hub is told comes late, twice, in pieces, or not at all.
func TestHubNews(t *testing.T) {
	ctx := t.Context()
	t.Run("AppendsThatOverlapAreJoined", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 8)
		sub, err := hub.Subscribe(ctx, id, 8)
		is.NoErr(err)
		defer sub.Close()
		fresh, err := log.append(id, batch(9, 20, false))
		is.NoErr(err)
		hub.Append(id, fresh[:6])
		hub.Append(id, fresh[2:9])
		hub.Append(id, fresh[:3])
		hub.Append(id, fresh)
		got, err := read(ctx, sub, 20)
		is.NoErr(err)
		is.Equal(got, batch(9, 20, false))
	})
	t.Run("WithoutALogToo", func(t *testing.T) {
		is := is.New(t)
		hub := stream.NewHub(stream.HubConfig{})
		defer hub.Close()
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		defer sub.Close()
		hub.Append(id, batch(1, 6, false))
		hub.Append(id, batch(3, 9, false))
		hub.Append(id, batch(12, 13, true)) // a hole that nothing can fill
		got, err := sub.Next(ctx)
		var gap *stream.GapError
		is.True(errors.As(err, &gap))
		is.Equal(len(got), 0)
		is.Equal(*gap, stream.GapError{From: 1, To: 11, Reason: stream.GapRetention})
		got, err = sub.Next(ctx)
		is.NoErr(err)
		is.Equal(got, batch(12, 13, true))
	})
	t.Run("AnOldAppendDoesNotMoveTheHeadBack", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 3)
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		defer sub.Close()
		fresh, err := log.append(id, batch(4, 9, false))
		is.NoErr(err)
		hub.Advance(id, stream.Head{Seq: 9})
		hub.Append(id, fresh[:2])
		is.Equal(sub.Head().Seq, uint64(9))
		got, err := read(ctx, sub, 9)
		is.NoErr(err)
		is.Equal(got, batch(1, 9, false))
	})
	t.Run("AReaderThatComesWhenNobodyWasThereAsksTheLog", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 0)
		fresh, err := log.append(id, batch(1, 3, false))
		is.NoErr(err)
		hub.Append(id, fresh)
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		sub.Close()
		_, err = log.append(id, batch(4, 6, true)) // by another process, while nobody watches
		is.NoErr(err)
		sub, err = hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		defer sub.Close()
		is.Equal(sub.Head(), stream.Head{First: 1, Seq: 6, Closed: true, Terminal: true})
		got, err := read(ctx, sub, 6)
		is.NoErr(err)
		is.Equal(got, batch(1, 6, true))
	})
	t.Run("AReaderAheadOfWhatIsKnownAsksTheLog", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 3)
		hold, err := hub.Subscribe(ctx, id, 3)
		is.NoErr(err)
		defer hold.Close()
		_, err = log.append(id, batch(4, 6, false)) // the news is still on its way
		is.NoErr(err)
		sub, err := hub.Subscribe(ctx, id, 5) // the reader was on that other process
		is.NoErr(err)
		defer sub.Close()
		got, err := read(ctx, sub, 6)
		is.NoErr(err)
		is.Equal(got, batch(6, 6, false))
		got, err = read(ctx, hold, 6) // for whom it is news as well
		is.NoErr(err)
		is.Equal(got, batch(4, 6, false))
	})
}

// Closing wakes a Next that hangs in the log itself.
func TestHubCloseEndsAHangingRead(t *testing.T) {
	for name, end := range map[string]func(*stream.Hub, *stream.Subscription){
		"Subscription": func(_ *stream.Hub, sub *stream.Subscription) { sub.Close() },
		"Hub":          func(hub *stream.Hub, _ *stream.Subscription) { hub.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			hub, log := newHub(t, stream.HubConfig{}, 5)
			log.gate = make(chan struct{})
			reading := make(chan struct{}, 1)
			log.before = func() { reading <- struct{}{} }
			sub, err := hub.Subscribe(t.Context(), id, 0)
			is.NoErr(err)
			ended := make(chan error, 1)
			go func() {
				_, err := sub.Next(t.Context())
				ended <- err
			}()
			<-reading
			end(hub, sub)
			is.True(errors.Is(<-ended, stream.ErrClosed))
			sub.Close()
		})
	}
}
