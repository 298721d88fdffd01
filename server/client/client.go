// Package client is the Go client of rdev's API.
//
//	c, err := client.New("http://127.0.0.1:8080", key, nil)
//	cmd, err := c.RunShell(ctx, "web", client.Shell{Argv: []string{"make", "test"}}, nil)
//	end, err := c.Follow(ctx, "web", cmd.ID, 0, func(events []client.Event) error {
//		for _, e := range events {
//			os.Stdout.Write(e.Raw())
//		}
//		return nil
//	})
//
// It needs nothing but the standard library and rdev's decoder of
// text/event-stream.
package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options change how a Client works. Nil and the zero value are good.
type Options struct {
	// HTTPClient makes the requests. It must have no Timeout, which would end
	// every stream, and should not follow redirects. Defaults to one with
	// deadlines on connecting and on the answer's header.
	HTTPClient *http.Client
	// DialContext makes the connections, through a socket or a tunnel for
	// example. It is not used with an HTTPClient. Defaults to a net.Dialer's.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// UserAgent is sent with every request. Defaults to "rdev-client".
	UserAgent string
	// Header is sent with every request too, for a proxy on the way or as the
	// caller's place in a trace (traceparent). It cannot replace what the
	// client sets itself. Not to be changed afterwards. Defaults to none.
	Header http.Header
	// Heartbeat is the server's time between heartbeats. A stream that is
	// silent for three of them is taken for broken. Defaults to 15 s.
	Heartbeat time.Duration
	// ReconnectTimeout is how long Follow goes on trying to reach the server
	// without hearing from it. Defaults to 2 minutes; negative means that it
	// gives up at the first failure.
	ReconnectTimeout time.Duration
	// OnReconnect is told why a stream was lost, each time before Follow
	// connects again. A stream that the server ended itself, to be continued,
	// is no loss. It is called from the goroutine of Follow. Defaults to none.
	OnReconnect func(error)
	// OnKeyExpiry is told when the Client's key expires, with each answer that
	// says so, which those of its last days do. It must not block. Defaults to
	// none.
	OnKeyExpiry func(time.Time)
	// OnQueued is told where a command waits that Follow reads, 1 for the first,
	// each time that changes, and 0 when it has a place. It is called from the
	// goroutine of Follow. Defaults to none.
	OnQueued func(position int)
}

// Defaults of Options.
const (
	DefaultHeartbeat        = 15 * time.Second
	DefaultReconnectTimeout = 2 * time.Minute
)

// A Client calls the API of one server with one key. All methods are safe for
// concurrent use.
type Client struct {
	base      string  // without a slash at the end
	key       *string // a pointer, because fmt prints fields
	http      *http.Client
	userAgent string
	header    http.Header
	silence   time.Duration
	patience  time.Duration
	lost      func(error)
	expires   func(time.Time)
	queued    func(int)
}

// New returns a Client of the server at baseURL, with the path under which the
// API is mounted there if it has one. It does not talk to the server.
func New(baseURL, key string, opts *Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, errors.New("client: the base URL is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("client: the base URL %q does not begin with http:// or https:// and a host", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("client: the base URL holds more than a host and a path")
	case key == "" || strings.ContainsAny(key, " \t\r\n"):
		return nil, errors.New("client: the key is empty or holds white space")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	c := &Client{
		base:      strings.TrimSuffix(u.String(), "/"),
		key:       &key,
		http:      o.HTTPClient,
		header:    o.Header,
		userAgent: cmp.Or(o.UserAgent, "rdev-client"),
		silence:   3 * cmp.Or(o.Heartbeat, DefaultHeartbeat),
		patience:  cmp.Or(o.ReconnectTimeout, DefaultReconnectTimeout),
	}
	if c.lost = o.OnReconnect; c.lost == nil {
		c.lost = func(error) {}
	}
	if c.expires = o.OnKeyExpiry; c.expires == nil {
		c.expires = func(time.Time) {}
	}
	if c.queued = o.OnQueued; c.queued == nil {
		c.queued = func(int) {}
	}
	if c.http == nil {
		c.http = newHTTPClient(o.DialContext)
	}
	return c, nil
}

// newHTTPClient returns an http.Client without a limit on how long an answer
// lasts, and with one on everything before. It follows no redirect: the API has
// none, and the key is not for whoever sends one.
func newHTTPClient(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dial,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  30 * time.Second,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        30 * time.Second, // below the server's
			MaxIdleConnsPerHost:    8,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }
