package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/store/postgres"
	"github.com/orchard9/rdev/stream"
)

// durable opens stores on one Postgres that flushes its commits.
func durable(b *testing.B, n int) []*postgres.Store {
	b.Helper()
	dsn := pgtest.Start(b, pgtest.Options{Fsync: true}).Database(b, postgres.Migrate)
	stores := make([]*postgres.Store, n)
	for i := range stores {
		stores[i] = open(b, postgres.Options{DSN: dsn})
	}
	return stores
}

var line = append(append([]byte(`{"line":"`), bytes.Repeat([]byte("x"), 64)...), `","stream":"stdout"}`...)

func batch(first uint64, n int) []stream.Event {
	events := make([]stream.Event, n)
	for i := range events {
		events[i] = stream.Event{Seq: first + uint64(i), Kind: stream.Output, Data: line}
	}
	return events
}

// BenchmarkPublish is eight commands that publish in batches of 512 lines on one
// replica, each read to its end on another one. The aim is 100,000 lines a
// second, durable.
func BenchmarkPublish(b *testing.B) {
	const commands, size = 8, 512
	stores := durable(b, 2)
	ctx := context.Background()
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range commands {
		id := fmt.Sprintf("cmd-%d", c)
		last := uint64(b.N * size)
		wg.Go(func() {
			for i := range b.N {
				if err := stores[0].Broker().Publish(ctx, id, batch(uint64(i*size+1), size)); err != nil {
					b.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			if err := readTo(ctx, stores[1], id, 0, last); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(commands*b.N*size)/b.Elapsed().Seconds(), "lines/s")
}

func readTo(ctx context.Context, s *postgres.Store, id string, at, last uint64) error {
	sub, err := s.Broker().Subscribe(ctx, id, at)
	if err != nil {
		return err
	}
	defer sub.Close()
	for at < last {
		events, err := sub.Next(ctx)
		if err == io.EOF {
			return fmt.Errorf("%s ended at %d", id, at)
		}
		if err != nil {
			return err
		}
		at = events[len(events)-1].Seq
	}
	return nil
}

// BenchmarkCatchUp is a reader that is a million lines behind. The aim is
// 300,000 lines a second.
func BenchmarkCatchUp(b *testing.B) {
	const lines, size = 1_000_000, 500
	stores := durable(b, 2)
	ctx := context.Background()
	for i := range lines / size {
		if err := stores[0].Broker().Publish(ctx, "cmd-old", batch(uint64(i*size+1), size)); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		if err := readTo(ctx, stores[1], "cmd-old", 0, lines); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkLatency is the time from Publish on one replica to the event on
// another, at 500 lines a second. The aims are 5 ms at p50 and 25 ms at p99.
func BenchmarkLatency(b *testing.B) {
	stores := durable(b, 2)
	ctx := context.Background()
	for deadline := time.Now().Add(30 * time.Second); stores[1].Wakeups() != postgres.WakeupsNotify; {
		if time.Now().After(deadline) {
			b.Fatal("no notification arrives")
		}
		time.Sleep(10 * time.Millisecond)
	}
	const samples = 2000
	sent := make([]time.Time, samples+1)
	var mu sync.Mutex
	b.ResetTimer()
	for n := range b.N {
		id := fmt.Sprintf("cmd-%d", n)
		sub, err := stores[1].Broker().Subscribe(ctx, id, 0)
		if err != nil {
			b.Fatal(err)
		}
		var took []time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			for len(took) < samples {
				events, err := sub.Next(ctx)
				if err != nil {
					b.Error(err)
					return
				}
				now := time.Now()
				mu.Lock()
				for _, e := range events {
					took = append(took, now.Sub(sent[e.Seq]))
				}
				mu.Unlock()
			}
		})
		tick := time.NewTicker(2 * time.Millisecond)
		for i := range samples {
			<-tick.C
			mu.Lock()
			sent[i+1] = time.Now()
			mu.Unlock()
			if err := stores[0].Broker().Publish(ctx, id, batch(uint64(i+1), 1)); err != nil {
				b.Fatal(err)
			}
		}
		tick.Stop()
		wg.Wait()
		sub.Close()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}
