package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/matryer/is"
)

// A ring is compared with a slice of the events that it should hold.
func TestRing(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			is := is.New(t)
			random := rand.New(rand.NewPCG(seed, 0))
			var r ring
			var held, read []Event
			next := uint64(1)
			for range 100 {
				switch random.IntN(5) {
				case 0, 1, 2:
					events := make([]Event, random.IntN(20))
					for i := range events {
						data := make([]byte, random.IntN(1<<random.IntN(16)))
						_, _ = rand.NewChaCha8([32]byte{byte(next)}).Read(data)
						events[i] = Event{Seq: next, Kind: []Kind{Output, Output, Output, Failed}[random.IntN(4)], Data: data}
						next++
					}
					r.push(events)
					for i := range events { // what is held is a copy
						held = append(held, events[i])
						held[len(held)-1].Data = slices.Clone(events[i].Data)
						clear(events[i].Data)
					}
				case 3:
					keep := random.IntN(2)
					limit := random.IntN(r.bytes + 1)
					r.limit(limit, keep)
					sum := 0
					for i := range held {
						sum += cost(&held[i])
					}
					for len(held) > keep && sum > limit {
						sum -= cost(&held[0])
						held = held[1:]
					}
				case 4:
					if random.IntN(8) == 0 {
						next += random.Uint64N(3)
						r.dropThrough(next - 1)
						held = nil
					} else if len(held) > 0 {
						n := random.IntN(len(held))
						r.dropThrough(r.base + uint64(n))
						held = held[n:]
					}
				}
				is.Equal(r.n, len(held))
				is.Equal(r.end(), next-1)
				sum := 0
				for i := range held {
					sum += cost(&held[i])
				}
				is.Equal(r.bytes, sum)
				if len(held) == 0 {
					continue
				}
				at := random.IntN(len(held))
				got := r.appendAfter(nil, r.base+uint64(at), random.IntN(100_000))
				is.True(len(got) > 0)
				for i := range got {
					want := held[at+i]
					is.True(got[i].Seq == want.Seq && got[i].Kind == want.Kind && slices.Equal(got[i].Data, want.Data))
				}
				read = append(read, got[0])
			}
			for _, e := range read { // what a reader was given stays
				data := make([]byte, len(e.Data))
				_, _ = rand.NewChaCha8([32]byte{byte(e.Seq)}).Read(data)
				is.True(slices.Equal(e.Data, data))
			}
		})
	}
}
