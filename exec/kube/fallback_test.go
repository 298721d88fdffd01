package kube_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/exec/kube"
	"github.com/orchard9/rdev/internal/kubetest"
)

// A front is a proxy before the API server, as companies have them.
type front struct {
	config *rest.Config // by which it is reached
	// refuse answers a request for a WebSocket, if it returns true.
	refuse func(http.ResponseWriter) bool
	// before sees every request, and has answered it if it returns true.
	before func(http.ResponseWriter, *http.Request) bool
	// cut is how long a WebSocket lasts; zero is for as long as it may.
	cut atomic.Int64

	webSockets, spdy atomic.Int64
}

func newFront(t *testing.T, refuse func(http.ResponseWriter) bool) *front {
	t.Helper()
	cfg := kubetest.Shared(t).RESTConfig()
	cfg.NextProtos = []string{"http/1.1"} // exec upgrades its connection
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{refuse: refuse}
	pass := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.before != nil && f.before(w, r) {
			return
		}
		switch upgrade := strings.ToLower(r.Header.Get("Upgrade")); {
		case upgrade == "websocket":
			f.webSockets.Add(1)
			if f.refuse != nil && f.refuse(w) {
				return
			}
			if cut := time.Duration(f.cut.Load()); cut > 0 {
				w = &cutting{ResponseWriter: w, after: cut}
			}
		case strings.HasPrefix(upgrade, "spdy/"):
			f.spdy.Add(1)
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.config = &rest.Config{Host: server.URL}
	return f
}

// cutting closes the connection some time after its upgrade.
type cutting struct {
	http.ResponseWriter
	after time.Duration
}

func (c *cutting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *cutting) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err == nil {
		time.AfterFunc(c.after, func() { conn.Close() })
	}
	return conn, rw, err
}

func (f *front) open(t *testing.T, namespace string) *kube.Executor {
	t.Helper()
	return newExecutorAt(t, f.config, namespace, nil)
}

func TestFallback(t *testing.T) {
	namespace := kubetest.Shared(t).Namespace(t)
	runPod(t, namespace, "web", nil)
	page := func(status int) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			http.Error(w, "<html>no WebSockets in this company</html>", status)
			return true
		}
	}
	for name, refuse := range map[string]func(http.ResponseWriter) bool{
		"BadRequest": page(http.StatusBadRequest), "Forbidden": page(http.StatusForbidden),
		"BadGateway": page(http.StatusBadGateway), "OKWithoutUpgrade": page(http.StatusOK),
	} {
		t.Run("AProxyThatRefusesWebSocketsIsServedOverSPDY/"+name, func(t *testing.T) {
			is := is.New(t)
			f := newFront(t, refuse)
			x := f.open(t, namespace)
			r := start(limited(t), x, awaitRunning(t, x, "web"), "sh", "-c", "seq 1 20000; exit 3")
			r.wait(t)
			is.NoErr(r.err)
			is.Equal(r.result.ExitCode, 3)
			is.Equal(strings.Count(r.text(), "\n"), 20000)
			is.True(f.webSockets.Load() > 0) // it was tried first
			is.True(f.spdy.Load() > 0)
		})
	}
	t.Run("AfterTheUpgradeThereIsNone", func(t *testing.T) {
		is := is.New(t)
		f := newFront(t, nil)
		x := f.open(t, namespace)
		target := awaitRunning(t, x, "web")
		f.cut.Store(int64(100 * time.Millisecond))
		r := start(limited(t), x, target, "sh", "-c", "echo ran >>/tmp/ran; for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done; exit 3")
		eventually(t, "some connections were cut", func() bool { return f.webSockets.Load() > 5 })
		f.cut.Store(0)
		r.wait(t)
		is.NoErr(r.err)
		is.Equal(r.result.ExitCode, 3)
		is.Equal(r.text(), "1\n2\n3\n4\n5\n6\n")
		is.Equal(f.spdy.Load(), int64(0))
		once := start(limited(t), x, target, "cat", "/tmp/ran")
		once.wait(t)
		is.Equal(once.text(), "ran\n")
	})
}
