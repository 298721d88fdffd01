package server

import (
	"fmt"
	"runtime/debug"
)

// apart calls f on a stack of its own. A goroutine keeps the stack that one
// deep call, into a database for example, has made it grow to, and that of a
// stream waits for minutes: it would be most of what a reader costs.
func apart(f func()) {
	done := make(chan any)
	go func() {
		defer func() {
			v := recover()
			if v != nil {
				v = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
			done <- v
		}()
		f()
	}()
	if v := <-done; v != nil {
		panic(v)
	}
}
