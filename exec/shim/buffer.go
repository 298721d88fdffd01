package shim

import "sync"

// bufferPool lends buffers of one kind.
type bufferPool[T any] struct{ pool sync.Pool }

func newBufferPool[T any](make func() *T) *bufferPool[T] {
	return &bufferPool[T]{sync.Pool{New: func() any { return make() }}}
}

func (p *bufferPool[T]) get() *T  { return p.pool.Get().(*T) }
func (p *bufferPool[T]) put(b *T) { p.pool.Put(b) }
