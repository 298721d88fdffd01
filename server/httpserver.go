package server

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Limits of NewHTTPServer.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxHTTP2Streams   = 250 // per connection
)

// NewHTTPServer returns an http.Server for this handler with limits that keep
// a client from holding it up. It has no WriteTimeout and no ReadTimeout, which
// would end every stream: writes to a stream and the reading of a body have
// deadlines of their own.
//
// Streams on HTTP/1.1 leave it: they keep their connection, and nothing else of
// what net/http needs for one, which is half of what a reader that waits would
// cost, and come back with the next request on it. Its Shutdown ends them, as
// Drain does, but does not wait for them, and its Close leaves them open. So, to
// stop: Drain, then Shutdown.
func (s *Server) NewHTTPServer(addr string) *http.Server {
	hs := &http.Server{
		Addr:                         addr,
		Handler:                      s,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxHTTP2Streams},
		ErrorLog:                     s.errorLog(),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), ownServer{}, s)
		},
	}
	hs.RegisterOnShutdown(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel() // Shutdown waits by itself for what it knows of
		_ = s.Drain(ended)
	})
	return hs
}

// ownServer is the key under which a request knows that NewHTTPServer made its
// http.Server.
type ownServer struct{}
