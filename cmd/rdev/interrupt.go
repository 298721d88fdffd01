package main

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// errInterrupted is the cause of a context that the user ended.
var errInterrupted = errors.New("interrupted")

// interrupts tells the first three interruptions apart: first and second are
// closed at theirs, and the context ends at the third. Until stop is called,
// none ends the program by itself, nor does writing to a pipe that nobody
// reads.
func (a *app) interrupts(ctx context.Context) (third context.Context, first, second <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	ignore := a.notify(signals, os.Interrupt, syscall.SIGTERM)
	broken := a.notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ctx, cancel := context.WithCancelCause(ctx)
	once, twice := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			switch n {
			case 1:
				close(once)
			case 2:
				close(twice)
			default:
				cancel(errInterrupted)
			}
		}
	}()
	return ctx, once, twice, func() {
		ignore()
		broken()
		cancel(nil)
		<-done
	}
}
