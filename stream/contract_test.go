package stream_test

import (
	"testing"

	"github.com/orchard9/rdev/stream"
	"github.com/orchard9/rdev/stream/streamtest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) streamtest.Subject {
		m := stream.NewMemory(stream.MemoryConfig{StreamBytes: 32 << 20})
		t.Cleanup(m.Shutdown)
		return streamtest.Subject{
			Broker: m,
			Trim:   func(_ *testing.T, streamID string, through uint64) { m.Trim(streamID, through) },
		}
	})
}
