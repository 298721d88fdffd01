package streamtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/stream"
)

var random = []sentence{
	{"RandomStepsAgreeWithAModel", randomStepsAgreeWithAModel, nil},
	{"RandomReadersOfRandomPublishersAgree", randomReadersOfRandomPublishersAgree, nil},
}

func seed(t *testing.T, s Subject) *rand.Rand {
	n := s.Seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("Subject.Seed: %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// A model is what one stream must be: numbers alone, for event and terminal
// make the rest from them.
type model struct {
	name             string
	first, seq       uint64
	closed, terminal bool
}

func (m *model) at(seq uint64) stream.Event {
	if m.terminal && seq == m.seq {
		return terminal(seq)
	}
	return event(seq)
}

// A place is a reader of a model.
type place struct {
	*model
	sub *stream.Subscription
	at  uint64
}

// randomStepsAgreeWithAModel takes one step after the other, so that each has
// one right outcome.
func randomStepsAgreeWithAModel(ctx context.Context, t *testing.T, s Subject) {
	r := seed(t, s)
	models := []*model{{name: "a", first: 1}, {name: "b", first: 1}, {name: "c", first: 1}}
	var places []*place
	leave := func(i int) {
		places[i].sub.Close()
		places[i] = places[len(places)-1]
		places = places[:len(places)-1]
	}
	for step := range 3000 {
		i := r.IntN(len(models))
		m := models[i]
		var err error
		switch n := r.IntN(100); {
		case n < 40:
			err = m.publish(ctx, s.Broker, r)
		case n < 50 && len(places) < 20:
			p := &place{model: m, at: r.Uint64N(m.seq + 1)}
			p.sub, err = s.Broker.Subscribe(ctx, m.name, p.at)
			if err == nil {
				places = append(places, p)
			}
		case n < 54 && len(places) > 0:
			leave(r.IntN(len(places)))
		case n < 55 && m.seq > 0 && s.Trim != nil:
			m.first = max(m.first, r.Uint64N(m.seq)+2)
			s.Trim(t, m.name, m.first-1)
		case n < 56 && s.Reopen != nil && step%10 == 0:
			for len(places) > 0 {
				leave(0)
			}
			s.Broker = s.Reopen(t)
		case n < 57 && m.seq > 20:
			if err = s.Broker.Close(ctx, m.name); err == nil {
				m.closed = true
			}
		case n < 58 && m.closed: // another command
			models[i] = &model{name: fmt.Sprint(m.name[:1], step), first: 1}
		case len(places) > 0:
			err = places[r.IntN(len(places))].next(ctx)
		}
		if err != nil {
			t.Fatalf("step %d, stream %+v: %v", step, *m, err)
		}
	}
	for len(places) > 0 {
		leave(0)
	}
}

// publish sends a batch that begins anywhere around the end.
func (m *model) publish(ctx context.Context, b stream.Broker, r *rand.Rand) error {
	first := m.seq + 1 + r.Uint64N(3)
	first -= min(first-1, r.Uint64N(6))
	last := first + r.Uint64N(8)
	var all []stream.Event
	for seq := first; seq <= last; seq++ {
		all = append(all, event(seq))
	}
	ends := r.IntN(60) == 0
	if ends {
		all[len(all)-1] = terminal(last)
	}
	var want error
	switch {
	case last <= m.seq:
	case m.closed:
		want = stream.ErrClosed
	case first > m.seq+1:
		want = stream.ErrGap
	default:
		m.seq, m.closed, m.terminal = last, ends, ends
	}
	if err := b.Publish(ctx, m.name, all); !errors.Is(err, want) {
		return fmt.Errorf("publishing %d to %d: got error %v, want %v", first, last, err, want)
	}
	return nil
}

func (p *place) next(ctx context.Context) error {
	if p.at == p.seq && !p.closed {
		over, cancel := context.WithCancel(ctx)
		cancel()
		if got, err := p.sub.Next(over); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("reading at the end: got %d events, error %v, want %v", len(got), err, context.Canceled)
		}
		return nil
	}
	got, err := p.sub.Next(ctx)
	var gap *stream.GapError
	switch {
	case p.at == p.seq:
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading at %d of %d: got %d events, error %v, want %v", p.at, p.seq, len(got), err, io.EOF)
		}
	case errors.As(err, &gap):
		if gap.From != p.at+1 || gap.To != p.first-1 || gap.Reason != stream.GapRetention {
			return fmt.Errorf("reading at %d, of which %d is the first: %+v", p.at, p.first, *gap)
		}
		p.at = gap.To
	case err != nil:
		return fmt.Errorf("reading at %d of %d: %w", p.at, p.seq, err)
	default:
		for _, e := range got {
			p.at++
			if p.at > p.seq {
				return fmt.Errorf("got %d of a stream that ends at %d", e.Seq, p.seq)
			}
			if d := differ([]stream.Event{e}, []stream.Event{p.model.at(p.at)}); d != "" {
				return errors.New(d)
			}
		}
	}
	return nil
}

// randomReadersOfRandomPublishersAgree lets several owners publish while
// readers come, go, and come back to where they were.
func randomReadersOfRandomPublishersAgree(ctx context.Context, t *testing.T, s Subject) {
	const last, owners, readers = 2000, 2, 10
	r := seed(t, s)
	var wait sync.WaitGroup
	for owner := range owners {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wait.Go(func() {
			for at := uint64(0); at < last; {
				// Step back a little now and then: a takeover repeats.
				first := at + 1 - min(at, r.Uint64N(4)*r.Uint64N(20))
				at = min(first+r.Uint64N(50), last)
				all := events(first, at)
				if at == last {
					all[len(all)-1] = terminal(last)
				}
				if err := s.Broker.Publish(ctx, id, all); err != nil {
					t.Errorf("owner %d: %v", owner, err)
					return
				}
			}
		})
	}
	for reader := range readers {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		wait.Go(func() {
			if err := wander(ctx, s.Broker, r, last); err != nil {
				t.Errorf("reader %d: %v", reader, err)
			}
		})
	}
	wait.Wait()
}

// wander reads a stream of last events, dropping its Subscription again and
// again.
func wander(ctx context.Context, b stream.Broker, r *rand.Rand, last uint64) error {
	m := &model{seq: last, terminal: true}
	for at := uint64(0); ; {
		sub, err := b.Subscribe(ctx, id, at)
		if err != nil {
			return err
		}
		for range 1 + r.IntN(6) {
			call, cancel := ctx, context.CancelFunc(func() {})
			if r.IntN(4) == 0 {
				call, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(1000))*time.Microsecond)
			}
			got, err := sub.Next(call)
			cancel()
			switch {
			case errors.Is(err, io.EOF):
				sub.Close()
				if at != last {
					return fmt.Errorf("the end came after %d of %d", at, last)
				}
				return nil
			case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
				continue
			case err != nil:
				sub.Close()
				return fmt.Errorf("after %d: %w", at, err)
			}
			for _, e := range got {
				at++
				if d := differ([]stream.Event{e}, []stream.Event{m.at(at)}); d != "" {
					sub.Close()
					return errors.New(d)
				}
			}
		}
		sub.Close()
	}
}
