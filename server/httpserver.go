package server

import (
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
// To stop it: Drain, then Shutdown.
func (s *Server) NewHTTPServer(addr string) *http.Server {
	return &http.Server{
		Addr:                         addr,
		Handler:                      s,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxHTTP2Streams},
		ErrorLog:                     s.errorLog(),
	}
}
