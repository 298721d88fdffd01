package stream_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/stream"
)

// ofSize returns n events of 110 bytes behind after.
func ofSize(after uint64, n int) []stream.Event {
	events := make([]stream.Event, n)
	for i := range events {
		after++
		events[i] = stream.Event{Seq: after, Kind: stream.Output, Data: fmt.Appendf(nil, `{"line":"%074d","stream":"stdout","n":%3d}`, after, n)}
	}
	return events
}

// BenchmarkFanOut appends batches to each stream and counts what readers get.
// The publisher waits for the readers after each window of events, since what
// is measured is the ring and not the log behind it. With a window of one every
// event wakes every reader: the worst case.
func BenchmarkFanOut(b *testing.B) {
	for _, shape := range []struct{ streams, readers, batch, window int }{
		{1, 1000, 1, 400}, {1, 1000, 10, 400}, {1, 1000, 1, 1},
		{10, 100, 1, 400}, {10, 100, 10, 400}, {10, 100, 1, 1},
		{200, 5, 1, 400}, {200, 5, 10, 400}, {200, 5, 1, 1},
	} {
		b.Run(fmt.Sprintf("%dx%d/batch=%d/window=%d", shape.streams, shape.readers, shape.batch, shape.window), func(b *testing.B) {
			hub := stream.NewHub(stream.HubConfig{})
			defer hub.Close()
			var readers sync.WaitGroup
			var nexts atomic.Int64
			var round atomic.Pointer[sync.WaitGroup]
			window := shape.window
			for s := range shape.streams {
				for range shape.readers {
					sub, err := hub.Subscribe(b.Context(), fmt.Sprint("cmd-", s), 0)
					if err != nil {
						b.Fatal(err)
					}
					readers.Go(func() {
						defer sub.Close()
						calls := int64(0)
						defer func() { nexts.Add(calls) }()
						for due := uint64(window); ; {
							events, err := sub.Next(b.Context())
							if err != nil {
								return
							}
							calls++
							if events[len(events)-1].Seq == due {
								due += uint64(window)
								round.Load().Done()
							}
						}
					})
				}
			}
			delivered := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				var done sync.WaitGroup
				done.Add(shape.streams * shape.readers)
				round.Store(&done)
				after := uint64(delivered / (shape.streams * shape.readers))
				var batches [][]stream.Event
				for n := 0; n < window; n += shape.batch {
					batches = append(batches, ofSize(after+uint64(n), shape.batch))
				}
				b.StartTimer()
				for _, events := range batches {
					for s := range shape.streams {
						hub.Append(fmt.Sprint("cmd-", s), events)
					}
				}
				done.Wait()
				delivered += window * shape.streams * shape.readers
			}
			b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "delivered/s")
			hub.Close()
			readers.Wait()
			b.ReportMetric(float64(delivered)/float64(nexts.Load()), "events/Next")
		})
	}
}

// BenchmarkAppend is what a publisher pays when nobody reads, and when five
// readers stall.
func BenchmarkAppend(b *testing.B) {
	for _, stalled := range []int{0, 5} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("stalled=%d/batch=%d", stalled, size), func(b *testing.B) {
				hub := stream.NewHub(stream.HubConfig{})
				defer hub.Close()
				for range stalled {
					sub, err := hub.Subscribe(b.Context(), id, 0)
					if err != nil {
						b.Fatal(err)
					}
					defer sub.Close()
				}
				events := ofSize(0, size)
				b.ReportAllocs()
				for b.Loop() {
					hub.Append(id, events)
					for i := range events {
						events[i].Seq += uint64(size)
					}
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkIdleReader is what a reader that waits costs in memory, its
// goroutine not counted.
func BenchmarkIdleReader(b *testing.B) {
	hub := stream.NewHub(stream.HubConfig{})
	defer hub.Close()
	runtime.GC()
	before := heap()
	subs := make([]*stream.Subscription, 0, 10_000)
	for range cap(subs) {
		sub, err := hub.Subscribe(b.Context(), id, 0)
		if err != nil {
			b.Fatal(err)
		}
		subs = append(subs, sub)
	}
	grown := heap() - before
	for b.Loop() {
		subs[0].Head()
	}
	b.ReportMetric(float64(grown)/float64(len(subs)), "B/reader")
	for _, sub := range subs {
		sub.Close()
	}
}
