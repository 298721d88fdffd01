package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream"
)

const id = "cmd-1"

// newHub returns a hub before a log that holds n events of the stream.
func newHub(t *testing.T, config stream.HubConfig, n uint64) (*stream.Hub, *logbook) {
	t.Helper()
	log := newLogbook()
	config.Log = log
	hub := stream.NewHub(config)
	t.Cleanup(hub.Close)
	if _, err := log.append(id, batch(1, n, false)); err != nil {
		t.Fatal(err)
	}
	return hub, log
}

func (l *logbook) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// read takes events until it has the one with Seq last.
func read(ctx context.Context, sub *stream.Subscription, last uint64) ([]stream.Event, error) {
	var all []stream.Event
	for len(all) == 0 || all[len(all)-1].Seq < last {
		events, err := sub.Next(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, events...)
	}
	return all, nil
}

func TestHubMemory(t *testing.T) {
	ctx := t.Context()
	t.Run("AStreamThatNobodyReadsAnyMoreIsDropped", func(t *testing.T) {
		is := is.New(t)
		hub, _ := newHub(t, stream.HubConfig{}, 0)
		for n := range 1000 {
			sub, err := hub.Subscribe(ctx, fmt.Sprint("cmd-", n), 0)
			is.NoErr(err)
			sub.Close()
		}
		is.Equal(hub.Stats(), stream.HubStats{})
	})
	t.Run("AFinishedStreamIsDroppedWithItsLastReader", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 0)
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		fresh, err := log.append(id, batch(1, 3, true))
		is.NoErr(err)
		hub.Append(id, fresh)
		is.True(hub.Stats().Bytes > 0)
		sub.Close()
		is.Equal(hub.Stats(), stream.HubStats{})
		hub.Append("other", batch(1, 3, true)) // nobody reads it
		is.Equal(hub.Stats(), stream.HubStats{})
	})
	t.Run("AReleasedStreamIsDropped", func(t *testing.T) {
		is := is.New(t)
		hub, _ := newHub(t, stream.HubConfig{}, 0)
		hub.Append(id, batch(1, 3, false))
		is.Equal(hub.Stats().Streams, 1)
		hub.Release(id)
		is.Equal(hub.Stats(), stream.HubStats{})
	})
	t.Run("AllStreamsTogetherStayWithinTotalBytes", func(t *testing.T) {
		is := is.New(t)
		hub, _ := newHub(t, stream.HubConfig{StreamBytes: 10_000, TotalBytes: 50_000}, 0)
		for round := range uint64(20) {
			for n := range 100 {
				hub.Append(fmt.Sprint("cmd-", n), batch(round*10+1, round*10+10, false))
				is.True(hub.Stats().Bytes <= 50_000)
			}
		}
		is.True(hub.Stats().Streams < 100) // those without an event left cost nothing
	})
	t.Run("ABatchLargerThanTheRingLeavesItsEnd", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{StreamBytes: 1000}, 0)
		fresh, err := log.append(id, batch(1, 1000, false))
		is.NoErr(err)
		hub.Append(id, fresh)
		is.True(hub.Stats().Bytes <= 1000)
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		defer sub.Close()
		got, err := read(ctx, sub, 1000)
		is.NoErr(err)
		is.Equal(got, batch(1, 1000, false))
	})
}

func TestHubAsksTheLogOnceForAll(t *testing.T) {
	ctx := t.Context()
	const readers, last = 100, 500

	// follow lets readers read up to last at the same time and returns how
	// often the log was asked by then.
	follow := func(t *testing.T, hub *stream.Hub, log *logbook, after, last uint64, between func()) int {
		t.Helper()
		var ready, done sync.WaitGroup
		before := log.asked()
		for range readers {
			ready.Add(1)
			done.Go(func() {
				sub, err := hub.Subscribe(ctx, id, after)
				ready.Done()
				if err != nil {
					t.Error(err)
					return
				}
				defer sub.Close()
				if got, err := read(ctx, sub, last); err != nil || uint64(len(got)) != last-after {
					t.Errorf("got %d events, error %v", len(got), err)
				}
			})
		}
		ready.Wait()
		between()
		done.Wait()
		return log.asked() - before
	}
	t.Run("WhenTheyComeBackAtOnce", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, last)
		hold, err := hub.Subscribe(ctx, id, last) // or the last of them to leave takes the ring along
		is.NoErr(err)
		defer hold.Close()
		asked := follow(t, hub, log, 0, last, func() {})
		t.Logf("%d readers of %d events asked the log %d times", readers, last, asked)
		is.True(asked <= 5)
	})
	t.Run("WhenAnotherProcessPublishes", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, last)
		hold, err := hub.Subscribe(ctx, id, last)
		is.NoErr(err)
		defer hold.Close()
		asked := follow(t, hub, log, last, last+100, func() {
			if _, err := log.append(id, batch(last+1, last+100, false)); err != nil {
				t.Error(err)
			}
			hub.Advance(id, stream.Head{Seq: last + 100})
		})
		t.Logf("%d readers asked the log %d times", readers, asked)
		is.True(asked <= 5)
	})
	t.Run("NeverWhereTheRingHasIt", func(t *testing.T) {
		is := is.New(t)
		hub, log := newHub(t, stream.HubConfig{}, 0)
		hold, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		defer hold.Close()
		asked := follow(t, hub, log, 0, last, func() {
			fresh, err := log.append(id, batch(1, last, false))
			if err != nil {
				t.Error(err)
			}
			hub.Append(id, fresh)
		})
		is.Equal(asked, 0)
	})
}

func TestHubWatched(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	hub, _ := newHub(t, stream.HubConfig{}, 7)
	is.Equal(len(hub.Watched()), 0)
	one, err := hub.Subscribe(ctx, id, 0)
	is.NoErr(err)
	two, err := hub.Subscribe(ctx, id, 0)
	is.NoErr(err)
	hub.Append("unread", batch(1, 3, false))
	is.Equal(hub.Watched(), map[string]uint64{id: 7})
	one.Close()
	one.Close()
	is.Equal(hub.Watched(), map[string]uint64{id: 7})
	hub.Advance(id, stream.Head{Seq: 9})
	is.Equal(hub.Watched(), map[string]uint64{id: 9})
	hub.Advance(id, stream.Head{Seq: 4}) // late news
	is.Equal(hub.Watched(), map[string]uint64{id: 9})
	hub.Advance(id, stream.Head{Seq: 9, Closed: true})
	is.Equal(len(hub.Watched()), 0) // nothing can follow
	two.Close()
	is.Equal(hub.Stats(), stream.HubStats{Streams: 1, Bytes: hub.Stats().Bytes}) // "unread" is open
}

func TestHubClose(t *testing.T) {
	is := is.New(t)
	hub, _ := newHub(t, stream.HubConfig{}, 3)
	var subs []*stream.Subscription
	ended := make(chan error)
	for after := range uint64(4) {
		sub, err := hub.Subscribe(t.Context(), id, after)
		is.NoErr(err)
		subs = append(subs, sub)
	}
	go func() {
		_, err := subs[3].Next(context.Background())
		ended <- err
	}()
	hub.Close()
	hub.Close()
	is.True(errors.Is(<-ended, stream.ErrClosed))
	for _, sub := range subs {
		_, err := sub.Next(t.Context())
		is.True(errors.Is(err, stream.ErrClosed))
		sub.Close()
	}
	_, err := hub.Subscribe(t.Context(), id, 0)
	is.True(errors.Is(err, stream.ErrClosed))
	hub.Append(id, batch(4, 5, false))
	hub.Advance(id, stream.Head{Seq: 9})
	hub.Release(id)
	is.Equal(hub.Stats(), stream.HubStats{})
}
