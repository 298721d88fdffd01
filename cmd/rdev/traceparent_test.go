package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestTheCommandLineGoesOnWithItsTrace: what it asks of a server belongs to the
// trace in its environment, if there is one.
func TestTheCommandLineGoesOnWithItsTrace(t *testing.T) {
	const parent = "00-" + callerTrace + "-" + callerSpan + "-01"
	for _, c := range []struct{ parent, state, wantParent, wantState string }{
		{parent, "vendor=1", parent, "vendor=1"},
		{parent, "two\nlines", parent, ""},
		{"", "vendor=1", "", ""},
		{"no\nparent", "", "", ""},
	} {
		is := is.New(t)
		got := make(chan http.Header, 10)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- r.Header
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"data":[],"meta":{"request_id":"x"}}`)
		}))
		env := vars("HOME", t.TempDir(), "RDEV_SERVER", server.URL, "RDEV_API_KEY", sharedKey, "TRACEPARENT", c.parent, "TRACESTATE", c.state)
		_ = run(t.Context(), []string{"projects"}, env, strings.NewReader(""), io.Discard, io.Discard)
		server.Close()
		header := <-got
		is.Equal(header.Get("Traceparent"), c.wantParent)
		is.Equal(header.Get("Tracestate"), c.wantState)
		is.Equal(header.Get("Authorization"), "Bearer "+sharedKey)
	}
}
