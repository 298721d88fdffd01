package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	"github.com/orchard9/rdev/internal/faultproxy"
	"github.com/orchard9/rdev/server/client"
)

func TestClient(t *testing.T) {
	t.Run("ALostAnswerIsAskedForAgainAndNothingRunsTwice", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		proxy := faultproxy.New(t, st.addr, func(n int) faultproxy.Fault {
			if n < 2 {
				return faultproxy.Fault{CutAfter: 1 + int64(n)*200} // in the status line, in the body
			}
			return faultproxy.Fault{}
		})
		c := st.clientAt("http://"+proxy.Addr(), adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"echo"}}, nil)
		is.NoErr(err)
		is.Equal(proxy.Cuts(), 2)
		page, err := c.Commands(t.Context(), "web", client.ListOptions{})
		is.NoErr(err)
		is.Equal(len(page.Commands), 1)
		is.Equal(page.Commands[0].ID, cmd.ID)
	})

	t.Run("ConnectionsAreMadeAsOneLikes", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.clientAt("http://rdev.invalid", adminKey, &client.Options{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "rdev.invalid:80" {
				return nil, errors.New(addr)
			}
			return new(net.Dialer).DialContext(ctx, network, st.addr)
		}})
		_, err := c.Commands(t.Context(), "web", client.ListOptions{})
		is.NoErr(err)
	})

	t.Run("AKeyIsNotMadeTwice", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		proxy := faultproxy.New(t, st.addr, func(int) faultproxy.Fault { return faultproxy.Fault{CutAfter: 1} })
		_, err := st.clientAt("http://"+proxy.Addr(), adminKey, nil).CreateKey(t.Context(), client.KeySpec{
			Name: "once", Scopes: []string{"projects:read"}, Projects: []string{"web"},
		})
		is.True(err != nil)
		is.Equal(proxy.Cuts(), 1)
	})

	t.Run("AServerThatIsBusyIsAskedAgain", func(t *testing.T) {
		is := is.New(t)
		var asked atomic.Int32
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, `{"data":{"projects":[{"name":"web","status":"running"}]},"meta":{}}`)
		}))
		defer ts.Close()
		c, err := client.New(ts.URL, "key", nil)
		is.NoErr(err)
		defer c.Close()
		projects, err := c.Projects(t.Context())
		is.NoErr(err)
		is.Equal(len(projects), 1)
	})

	t.Run("AnAnswerThatIsNotFromRdevHasACodeToo", func(t *testing.T) {
		for status, code := range map[int]client.Code{
			http.StatusTeapot: client.Internal, http.StatusForbidden: client.Forbidden, http.StatusUnauthorized: client.Unauthenticated,
			http.StatusFound: client.Internal, // and the key went nowhere else
		} {
			is := is.New(t)
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://192.0.2.1/")
				w.WriteHeader(status)
				fmt.Fprint(w, "<html>")
			}))
			c, err := client.New(ts.URL, "key", nil)
			is.NoErr(err)
			_, err = c.Project(t.Context(), "web")
			is.True(errors.Is(err, code))
			c.Close()
			ts.Close()
		}
	})

	t.Run("TheEndOfTheContextIsSaid", func(t *testing.T) {
		is := is.New(t)
		st := newStand(t, nil)
		c := st.client(adminKey, nil)
		cmd, err := c.RunShell(t.Context(), "web", client.Shell{Argv: []string{"sleep"}}, nil)
		is.NoErr(err)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = c.Follow(ctx, "web", cmd.ID, 0, func([]client.Event) error { cancel(); return nil })
		is.True(errors.Is(err, context.Canceled))
	})

	t.Run("TheFieldOfARefusalIsThere", func(t *testing.T) {
		is := is.New(t)
		_, err := newStand(t, nil).client(adminKey, nil).RunShell(t.Context(), "web", client.Shell{Argv: []string{"echo", "a\x00b"}}, nil)
		var answer *client.Error
		is.True(errors.As(err, &answer))
		is.Equal(answer.Field(), "argv[1]")
		is.Equal(answer.Code, client.InvalidArgument)
		is.True(strings.Contains(err.Error(), answer.RequestID))
	})

	t.Run("PrintingAClientDoesNotShowItsKey", func(t *testing.T) {
		is := is.New(t)
		c, err := client.New("http://127.0.0.1:1", "hunter2", nil)
		is.NoErr(err)
		is.True(!strings.Contains(fmt.Sprintf("%v %+v %#v", c, *c, *c), "hunter2"))
	})

	t.Run("ABadBaseURLIsRefusedWithoutShowingWhatIsInIt", func(t *testing.T) {
		for _, url := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://user:hunter2@x", "http://x?key=hunter2", "://hunter2"} {
			is := is.New(t)
			_, err := client.New(url, "key", nil)
			is.True(err != nil && !strings.Contains(err.Error(), "hunter2"))
		}
	})
}
