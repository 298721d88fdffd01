package main

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// errInterrupted is the cause of a context that the user ended.
var errInterrupted = errors.New("interrupted")

// interrupts tells the first interruption from the second: first is closed at
// the one, and the context ends at the other. Until stop is called, neither
// ends the program by itself, nor does writing to a pipe that nobody reads.
func (a *app) interrupts(ctx context.Context) (second context.Context, first <-chan struct{}, stop func()) {
	signals := make(chan os.Signal, 2)
	ignore := a.notify(signals, os.Interrupt, syscall.SIGTERM)
	broken := a.notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ctx, cancel := context.WithCancelCause(ctx)
	once := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if n == 1 {
				close(once)
				continue
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, once, func() {
		ignore()
		broken()
		cancel(nil)
		<-done
	}
}
