package rdev

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/stream"
)

// gate is a publish function that waits to be let through.
type gate struct {
	open    chan error
	mu      sync.Mutex
	batches [][]stream.Event
}

func (g *gate) publish(events []stream.Event) (bool, error) {
	if err := <-g.open; err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batches = append(g.batches, slices.Clone(events)) // they are the outbox's again
	return true, nil
}

func lineOf(seq uint64, size int) []exec.Line {
	return []exec.Line{{Seq: seq, Stream: exec.Stdout, Data: make([]byte, size)}}
}

func TestOutboxMakesOneBatchOfWhatComesMeanwhile(t *testing.T) {
	is := is.New(t)
	g := &gate{open: make(chan error)}
	o := newOutbox(g.publish, func(error) {})
	is.NoErr(o.put(lineOf(1, 1)))
	g.open <- nil // the first line does not wait for others
	is.NoErr(o.wait())
	for seq := uint64(2); seq <= 100; seq++ {
		is.NoErr(o.put(lineOf(seq, 1)))
	}
	close(g.open)
	is.NoErr(o.wait())
	next := uint64(1)
	for _, batch := range g.batches {
		for _, e := range batch {
			is.Equal(e.Seq, next)
			next++
		}
	}
	is.Equal(next, uint64(101))
	is.True(len(g.batches) <= 3) // the first line, what came before its batch was taken, the rest
}

func TestOutboxIsBounded(t *testing.T) {
	is := is.New(t)
	g := &gate{open: make(chan error)}
	o := newOutbox(g.publish, func(error) {})
	put := make(chan int, 100)
	go func() {
		defer close(put)
		for n := range 50 {
			if err := o.put(lineOf(uint64(n+1), 64<<10)); err != nil {
				t.Error(err)
			}
			put <- n
		}
	}()
	last := -1
	for quiet := false; !quiet; {
		select {
		case last = <-put:
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
	// NUL takes six bytes in JSON: two lines fill a batch. One batch is under
	// way, and one waits.
	is.True(last < 6)
	close(g.open)
	for range put {
	}
	is.NoErr(o.wait())
}

func TestOutboxTellsOfAFailureAndTakesNothingMore(t *testing.T) {
	is := is.New(t)
	g := &gate{open: make(chan error)}
	broken := errors.New("broken")
	var told []error
	o := newOutbox(g.publish, func(err error) { told = append(told, err) })
	is.NoErr(o.put(lineOf(1, 1)))
	blocked := make(chan error)
	go func() {
		var err error
		for seq := uint64(2); err == nil; seq++ {
			err = o.put(lineOf(seq, 64<<10)) // two wait, and the third is not taken
		}
		blocked <- err
	}()
	g.open <- fmt.Errorf("publish: %w", broken)
	is.True(errors.Is(<-blocked, broken))
	is.True(errors.Is(o.wait(), broken))
	is.Equal(len(told), 1)
	is.Equal(len(g.batches), 0)
}
