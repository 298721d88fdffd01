package kube

import (
	"io"
	"sync"
)

// lateInput is standard input that is given, and ended, when it is time.
type lateInput struct {
	giving, ending sync.Once
	given, ended   chan struct{}
	data           []byte
}

func newLateInput() *lateInput {
	return &lateInput{given: make(chan struct{}), ended: make(chan struct{})}
}

// give gives the input; the first time counts.
func (i *lateInput) give(data []byte) {
	i.giving.Do(func() {
		i.data = data
		close(i.given)
	})
}

// end ends the input behind what is given.
func (i *lateInput) end() { i.ending.Do(func() { close(i.ended) }) }

// Read implements io.Reader for one goroutine.
func (i *lateInput) Read(b []byte) (int, error) {
	<-i.given
	if len(i.data) == 0 {
		<-i.ended
		return 0, io.EOF
	}
	n := copy(b, i.data)
	i.data = i.data[n:]
	return n, nil
}
