package stream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/stream"
)

// A scripted is a log that answers what the test says.
type scripted struct {
	head func() (stream.Head, error)
	read func(ctx context.Context, after uint64) ([]stream.Event, error)
}

func (s scripted) Head(context.Context, string) (stream.Head, error) { return s.head() }

func (s scripted) Read(ctx context.Context, _ string, after uint64, _ int) ([]stream.Event, error) {
	return s.read(ctx, after)
}

func TestHubDoesNotTrustItsLog(t *testing.T) {
	ctx := t.Context()
	errDisk := errors.New("disk on fire")
	open := func(t *testing.T, read func(ctx context.Context, after uint64) ([]stream.Event, error)) *stream.Subscription {
		t.Helper()
		hub := stream.NewHub(stream.HubConfig{Log: scripted{
			head: func() (stream.Head, error) { return stream.Head{First: 1, Seq: 10}, nil },
			read: read,
		}})
		t.Cleanup(hub.Close)
		sub, err := hub.Subscribe(ctx, id, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sub.Close)
		return sub
	}
	t.Run("AnErrorLeavesTheCursor", func(t *testing.T) {
		is := is.New(t)
		broken := true
		sub := open(t, func(_ context.Context, after uint64) ([]stream.Event, error) {
			if broken {
				return nil, errDisk
			}
			return batch(after+1, 10, false), nil
		})
		for range 3 {
			_, err := sub.Next(ctx)
			is.True(errors.Is(err, errDisk))
		}
		broken = false
		got, err := sub.Next(ctx)
		is.NoErr(err)
		is.Equal(got, batch(1, 10, false))
	})
	t.Run("AHoleIsToldAsAGap", func(t *testing.T) {
		is := is.New(t)
		sub := open(t, func(_ context.Context, after uint64) ([]stream.Event, error) {
			if after < 4 {
				return append(batch(after+1, 4, false), batch(7, 10, false)...), nil
			}
			return batch(max(after+1, 7), 10, false), nil
		})
		got, err := sub.Next(ctx)
		is.NoErr(err)
		is.Equal(got, batch(1, 4, false))
		_, err = sub.Next(ctx)
		var gap *stream.GapError
		is.True(errors.As(err, &gap))
		is.Equal(*gap, stream.GapError{From: 5, To: 6, Reason: stream.GapRetention})
		got, err = sub.Next(ctx)
		is.NoErr(err)
		is.Equal(got, batch(7, 10, false))
	})
	t.Run("WhatIsMissingIsAnErrorAndNoLoop", func(t *testing.T) {
		is := is.New(t)
		sub := open(t, func(context.Context, uint64) ([]stream.Event, error) { return nil, nil })
		_, err := sub.Next(ctx)
		is.True(err != nil)
	})
	t.Run("AnEventThatTheReaderHasIsAnError", func(t *testing.T) {
		is := is.New(t)
		sub := open(t, func(context.Context, uint64) ([]stream.Event, error) { return batch(1, 3, false), nil })
		_, err := sub.Next(ctx)
		is.NoErr(err)
		_, err = sub.Next(ctx)
		is.True(err != nil)
	})
	t.Run("AGapThatEndsBehindTheReaderIsAnError", func(t *testing.T) {
		is := is.New(t)
		sub := open(t, func(context.Context, uint64) ([]stream.Event, error) { return nil, &stream.GapError{} })
		_, err := sub.Next(ctx)
		var gap *stream.GapError
		is.True(err != nil)
		is.True(!errors.As(err, &gap))
	})
	t.Run("AnErrorOfHeadFailsSubscribe", func(t *testing.T) {
		is := is.New(t)
		hub := stream.NewHub(stream.HubConfig{Log: scripted{head: func() (stream.Head, error) { return stream.Head{}, errDisk }}})
		defer hub.Close()
		_, err := hub.Subscribe(ctx, id, 0)
		is.True(errors.Is(err, errDisk))
		is.Equal(hub.Stats(), stream.HubStats{})
	})
}

// A log that hangs holds only those who need it, and only while they want.
func TestHubWithAHangingLog(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	hub, log := newHub(t, stream.HubConfig{}, 5)
	log.gate = make(chan struct{})

	reading := make(chan struct{}, 100)
	log.before = func() { reading <- struct{}{} }
	next := func(ctx context.Context, sub *stream.Subscription) <-chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := sub.Next(ctx)
			ended <- err
		}()
		return ended
	}
	var subs []*stream.Subscription
	for range 4 {
		sub, err := hub.Subscribe(ctx, id, 0)
		is.NoErr(err)
		subs = append(subs, sub)
	}
	// The first asks the log, the others wait for it.
	call, cancel := context.WithCancel(ctx)
	first := next(call, subs[0])
	<-reading
	second := next(ctx, subs[1])
	third := next(ctx, subs[2])
	fourth := next(ctx, subs[3])

	// The publisher and a reader at the end of the stream notice nothing.
	live, err := hub.Subscribe(ctx, id, 5)
	is.NoErr(err)
	defer live.Close()
	fresh, err := log.append(id, batch(6, 8, false))
	is.NoErr(err)
	hub.Append(id, fresh)
	got, err := live.Next(ctx)
	is.NoErr(err)
	is.Equal(got, batch(6, 8, false))

	subs[1].Close()
	is.True(errors.Is(<-second, stream.ErrClosed))
	cancel()
	is.True(errors.Is(<-first, context.Canceled))
	<-reading // one of the others has taken over
	close(log.gate)
	is.NoErr(<-third)
	is.NoErr(<-fourth)
	for _, sub := range subs {
		sub.Close()
	}
}
