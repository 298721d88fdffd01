package kube_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/exec/kube"
)

func TestPipe(t *testing.T) {
	t.Run("GivesAllInOrderThenTheError", func(t *testing.T) {
		is := is.New(t)
		random := rand.New(rand.NewPCG(1, 2))
		want := make([]byte, 3<<20)
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		p, end := kube.NewPipe(), errors.New("the end")
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(64<<10))
				_, _ = p.Write(rest[:n])
				rest = rest[n:]
			}
			p.End(end)
		}()
		var got bytes.Buffer
		buf := make([]byte, 10_000)
		for {
			n, err := p.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				is.Equal(err, end)
				break
			}
		}
		is.True(bytes.Equal(got.Bytes(), want))
	})
	t.Run("AFullOneHoldsTheWriterUp", func(t *testing.T) {
		is := is.New(t)
		p := kube.NewPipe()
		piece := make([]byte, 64<<10)
		written := make(chan int, 100)
		go func() {
			for i := range 10 {
				_, err := p.Write(piece)
				if err != nil {
					close(written)
					return
				}
				written <- i
			}
		}()
		for i := range 4 {
			is.Equal(<-written, i)
		}
		select {
		case <-written:
			t.Fatal("it takes more than it may hold")
		case <-time.After(50 * time.Millisecond):
		}
		_, err := io.ReadFull(p, make([]byte, 4*len(piece)))
		is.NoErr(err)
		is.Equal(<-written, 4)
		p.Close()
		for range written { // the writer is let go
		}
		_, err = p.Write(piece)
		is.Equal(err, io.ErrClosedPipe)
	})
	t.Run("CloseWakesTheReader", func(t *testing.T) {
		p := kube.NewPipe()
		go p.Close()
		if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%d, %v", n, err)
		}
	})
}
