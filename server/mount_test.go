package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/rdev"
	"github.com/orchard9/rdev/server/client"
)

// TestMounted: the handler streams wherever it is mounted.
func TestMounted(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "HTTP2"}[http2], func(t *testing.T) {
			is := is.New(t)
			st := newStand(t, func(up *setup) { up.config.BasePath = "/api" })
			st.command("cmd", rdev.StateRunning)
			st.publish("cmd", 1, 1000)
			mux := http.NewServeMux()
			mux.Handle("/api/", st.srv)
			ts := httptest.NewUnstartedServer(mux)
			ts.EnableHTTP2 = http2
			ts.StartTLS()
			defer ts.Close()
			c, err := client.New(ts.URL+"/api", adminKey, &client.Options{HTTPClient: ts.Client()})
			is.NoErr(err)
			got := &recorder{next: 1}
			end, err := c.Follow(t.Context(), "web", "cmd", 0, func(events []client.Event) error {
				if err := got.take(events); err != nil || got.next != 1001 {
					return err
				}
				st.publish("cmd", 1001, 1002) // and what comes live
				st.complete("cmd", 1003)
				return nil
			})
			is.NoErr(err)
			is.Equal(end.State, client.Succeeded)
			is.Equal(got.next, uint64(1003))
		})
	}
}
