// Package streamtest is the contract of stream.Broker as tests. An
// implementation is a Broker if Run passes under the race detector:
//
//	func TestContract(t *testing.T) {
//		streamtest.Run(t, func(t *testing.T) streamtest.Subject {
//			m := stream.NewMemory(stream.MemoryConfig{})
//			t.Cleanup(m.Shutdown)
//			return streamtest.Subject{Broker: m}
//		})
//	}
//
// The names of the subtests are the sentences of the contract. No test relies
// on timing: what must happen is waited for, up to Patience.
package streamtest

import (
	"context"
	"testing"
	"time"

	"github.com/orchard9/rdev/stream"
)

// Patience is how long a test waits for what the contract promises before it
// fails. It is only ever used up by a broker that is broken.
const Patience = time.Minute

// A Subject is a broker under test with what a test needs around it.
type Subject struct {
	// Broker is empty and used by one subtest alone. Whoever opened it shuts it
	// down with t.Cleanup. It keeps at least 16 MiB of each stream. Required.
	Broker stream.Broker

	// Reopen shuts the current Broker down as hard as it can and returns
	// another one on the same data. Nil if nothing is durable; what needs it
	// is then logged as not tested.
	Reopen func(t *testing.T) stream.Broker

	// Trim makes retention drop the events of a stream up to and with through.
	// Readers that subscribe later are told. Nil if there is no retention.
	Trim func(t *testing.T, streamID string, through uint64)

	// Seed makes the random tests repeatable. Defaults to one that is printed.
	Seed uint64
}

// Run runs the contract. open is called once for each subtest.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, group := range [][]sentence{publishing, reading, ending, losing, surviving, random} {
		for _, s := range group {
			t.Run(s.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), Patience)
				defer cancel()
				subject := open(t)
				if s.needs != nil {
					if missing := s.needs(subject); missing != "" {
						t.Logf("not tested: the subject has no %s", missing)
						return
					}
				}
				s.test(ctx, t, subject)
			})
		}
	}
}

// A sentence of the contract.
type sentence struct {
	name  string
	test  func(ctx context.Context, t *testing.T, subject Subject)
	needs func(Subject) (missing string) // nil for nothing but the broker
}

func aTrim(s Subject) string {
	if s.Trim == nil {
		return "Trim"
	}
	return ""
}

func aReopen(s Subject) string {
	if s.Reopen == nil {
		return "Reopen"
	}
	return ""
}

func both(s Subject) string {
	if missing := aReopen(s); missing != "" {
		return missing
	}
	return aTrim(s)
}

// id is the stream that tests of one stream use.
const id = "cmd-01jd000000000000000000test"
