package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/store/sqlite"
	"github.com/orchard9/rdev/stream"
)

const (
	benchBatch = 512
	benchLine  = 100
)

// batch returns n output events of about size bytes each, from first on.
func batch(first uint64, n, size int) []stream.Event {
	data := make([]byte, n*size) // noise: what is stored of it is as large
	_, _ = rand.NewChaCha8([32]byte{byte(first)}).Read(data)
	events := make([]stream.Event, n)
	for i := range events {
		events[i] = stream.Event{Seq: first + uint64(i), Kind: stream.Output, Data: data[i*size : (i+1)*size : (i+1)*size]}
	}
	return events
}

func perSecond(b *testing.B, events int) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPublish appends batches of 512 events of 100 bytes to as many
// streams as there are publishers.
func BenchmarkPublish(b *testing.B) {
	for _, publishers := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			s := open(b, file(b), nil)
			b.SetBytes(benchBatch * benchLine)
			b.ReportAllocs()
			failures := make(chan error, publishers)
			b.ResetTimer()
			for p := range publishers {
				go func() {
					events := batch(1, benchBatch, benchLine)
					for range b.N/publishers + 1 {
						if err := s.Broker().Publish(b.Context(), fmt.Sprint("s", p), events); err != nil {
							failures <- err
							return
						}
						for i := range events {
							events[i].Seq += benchBatch
						}
					}
					failures <- nil
				}()
			}
			for range publishers {
				if err := <-failures; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			perSecond(b, (b.N/publishers+1)*publishers*benchBatch)
		})
	}
}

// BenchmarkLonePublish is the latency of one line that is alone.
func BenchmarkLonePublish(b *testing.B) {
	s := open(b, file(b), nil)
	for n := range b.N {
		if err := s.Broker().Publish(b.Context(), "s", batch(uint64(n+1), 1, benchLine)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadBack reads a stream from the file.
func BenchmarkReadBack(b *testing.B) {
	for name, size := range map[string]int{"batches": benchBatch, "lines": 1} {
		b.Run(name, func(b *testing.B) {
			const events = 16384
			path := file(b)
			s := open(b, path, nil)
			for first := 1; first <= events; first += size {
				if err := s.Broker().Publish(b.Context(), "s", batch(uint64(first), size, benchLine)); err != nil {
					b.Fatal(err)
				}
			}
			closeStore(b, s)
			s = open(b, path, &sqlite.Options{Hub: stream.HubConfig{StreamBytes: 1}}) // which holds nothing
			b.SetBytes(events * benchLine)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				readBack(b, s, events)
			}
			b.StopTimer()
			perSecond(b, b.N*events)
		})
	}
}

func readBack(b *testing.B, s *sqlite.Store, events int) {
	sub, err := s.Broker().Subscribe(b.Context(), "s", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Close()
	for got := 0; got < events; {
		page, err := sub.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		got += len(page)
	}
}

// BenchmarkCommandLife is a record from Insert to its end.
func BenchmarkCommandLife(b *testing.B) {
	s := open(b, file(b), nil).Commands()
	for n := range b.N {
		id := fmt.Sprintf("cmd-%012d", n)
		_, _, err := s.Insert(b.Context(), rdev.Command{
			ID: id, Project: "api", Type: policy.TypeShell, Argv: []string{"echo", "hi"}, State: rdev.StateQueued,
			Spec: exec.Command{ID: id, Argv: []string{"echo", "hi"}},
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, state := range []rdev.State{rdev.StateRunning, rdev.StateSucceeded} {
			_, err := s.Update(b.Context(), id, func(c *rdev.Command) error {
				c.State = state
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
