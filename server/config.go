package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
)

// Defaults of a Config.
const (
	DefaultHeartbeat    = 15 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultMaxStreamAge = 15 * time.Minute

	DefaultKeyExpiryWarning = 7 * 24 * time.Hour
)

// Config is how a Server serves. Its zero value is good.
type Config struct {
	// BasePath is where the handler is mounted, "/rdev" for example: requests
	// come with it in their path (no http.StripPrefix), and the URLs in
	// answers begin with it. Defaults to the root.
	BasePath string
	// Log takes one event per request, and what went wrong. Defaults to none.
	Log *zerolog.Logger
	// AllowedOrigins are the origins ("https://app.example.com") whose pages
	// may use the API across origins, compared as they stand. There is no
	// wildcard. Defaults to none.
	AllowedOrigins []string
	// AllowedHosts are the names that requests may be addressed to, without
	// their port. It protects a server on a loopback address from pages that
	// reach it under a name of their own (DNS rebinding); LoopbackHosts is the
	// list for that. Defaults to any.
	AllowedHosts []string
	// TrustedProxies are where the proxies in front of the server are: of a
	// request from there, and of no other, X-Forwarded-For says where it comes
	// from. Plain prefixes (auth.ParsePrefix), and none that covers everybody.
	// Defaults to none.
	TrustedProxies []netip.Prefix
	// KeyExpiryWarning is how long before a key expires the answers to it begin
	// to say so. Defaults to DefaultKeyExpiryWarning; negative means never.
	KeyExpiryWarning time.Duration
	// Heartbeat is the time between two heartbeats of a stream. Defaults to
	// DefaultHeartbeat.
	Heartbeat time.Duration
	// WriteTimeout is how long a reader may take no bytes before its stream is
	// closed: for each 64 KiB, or less, that it is sent. Defaults to
	// DefaultWriteTimeout.
	WriteTimeout time.Duration
	// MaxStreamAge is about how long one response of a stream lasts, 20 % more
	// or less, before the reader has to reconnect. Defaults to
	// DefaultMaxStreamAge.
	MaxStreamAge time.Duration
	// Requests is how often a key may ask, over all servers with the same
	// LimitStore; the admin key may always. Defaults to no limit.
	Requests auth.Rate
	// FailedLogins is how often keys that do not work may come from one address
	// (of IPv6, one /64) before it is told to wait; this server counts for
	// itself. A key that works is served wherever it comes from. Defaults to
	// no limit.
	FailedLogins auth.Rate
	// StreamsPerKey is how many streams a key may have open, over all servers
	// with the same LimitStore; the admin key has no limit. Defaults to no
	// limit.
	StreamsPerKey int
	// LimitStore is where these are counted. Defaults to the memory of this
	// Server.
	LimitStore auth.LimitStore
	// Ready says whether the program can serve, for GET /readyz: it asks the
	// store, for example. Its error is logged, not sent. Defaults to always.
	Ready func(context.Context) error
	// Parts are what the program stands on, the store for example: GET /readyz
	// asks each, at most once a second, and with ?verbose says which failed.
	// Their errors are logged, not sent. Defaults to none.
	Parts map[string]func(context.Context) error
	// Version is which build of the program this is; GET /readyz?verbose tells
	// it, so that clients of another one can be found. Defaults to none.
	Version string
	// Observer is told of responses, for metrics. Defaults to none.
	Observer Observer
	// TracerProvider takes a span of each request that needs a key, below that
	// of the caller's traceparent. Give the Service the same. Defaults to none,
	// which costs nothing.
	TracerProvider trace.TracerProvider
}

// LoopbackHosts are the AllowedHosts for a server that listens on a loopback
// address.
func LoopbackHosts() []string { return []string{"localhost", "127.0.0.1", "::1"} }

func (c Config) withDefaults() Config {
	c.BasePath = strings.TrimSuffix(c.BasePath, "/")
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	c.KeyExpiryWarning = cmp.Or(c.KeyExpiryWarning, DefaultKeyExpiryWarning)
	c.MaxStreamAge = cmp.Or(c.MaxStreamAge, DefaultMaxStreamAge)
	if c.Log == nil {
		nop := zerolog.Nop()
		c.Log = &nop
	}
	if c.LimitStore == nil {
		c.LimitStore = new(auth.MemoryLimits)
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.BasePath != "" && (checkPath(c.BasePath) != nil || strings.ContainsAny(c.BasePath, ":*?#%")):
		return fmt.Errorf("server: Config.BasePath %q is not a plain path that begins with a slash", c.BasePath)
	case c.Requests.Validate() != nil:
		return fmt.Errorf("server: Config.Requests: %w", c.Requests.Validate())
	case c.FailedLogins.Validate() != nil:
		return fmt.Errorf("server: Config.FailedLogins: %w", c.FailedLogins.Validate())
	case c.StreamsPerKey < 0:
		return errors.New("server: Config.StreamsPerKey is negative")
	case c.Heartbeat < 0:
		return errors.New("server: Config.Heartbeat is negative")
	case c.WriteTimeout < 0:
		return errors.New("server: Config.WriteTimeout is negative")
	case c.MaxStreamAge < 0:
		return errors.New("server: Config.MaxStreamAge is negative")
	}
	if err := checkProxies(c.TrustedProxies); err != nil {
		return err
	}
	for _, origin := range c.AllowedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("server: Config.AllowedOrigins: %q is not a scheme and a host", origin)
		}
	}
	return nil
}
