package server_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if serve := os.Getenv("SERVER_TEST_CHILD"); serve != "" {
		idleServer() // for the measurement of idle readers
		return
	}
	// net/http waits half a second before it closes a connection that it has
	// answered with an error.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
