package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/julienschmidt/httprouter"
	"go.opentelemetry.io/otel/trace"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// A Server is the API as an http.Handler, to be mounted in any program or
// served by NewHTTPServer. All methods are safe for concurrent use.
type Server struct {
	svc         *rdev.Service
	authn       *auth.Authenticator
	cfg         Config
	router      *httprouter.Router
	crossOrigin *http.CrossOriginProtection
	readers     readers
	watch       *auth.Watch // of the readers' keys
	buffers     buffers
	limits      limits
	health      health
	leaving     atomic.Bool  // set by Leave
	idle        idleConns    // that were a stream's
	tracer      trace.Tracer // nil if nobody traces
}

// New returns a Server over svc, whose callers authn tells. It closes neither.
func New(svc *rdev.Service, authn *auth.Authenticator, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	switch {
	case svc == nil:
		return nil, errors.New("server: a Service is required")
	case authn == nil:
		return nil, errors.New("server: an Authenticator is required")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{svc: svc, authn: authn, cfg: cfg, crossOrigin: http.NewCrossOriginProtection()}
	for _, origin := range cfg.AllowedOrigins {
		if err := s.crossOrigin.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	s.router = newRouter(routes())
	s.limits = newLimits(cfg)
	s.watch = auth.NewWatch(auth.WatchConfig{
		Keys: authn.Keys(), Changed: s.keyChanged,
		OnError: func(err error) { cfg.Log.Error().Err(err).Msg("in the background") },
	})
	if cfg.TracerProvider != nil {
		s.tracer = cfg.TracerProvider.Tracer("github.com/orchard9/rdev/server")
	}
	return s, nil
}

// Drain ends the streams so that the program can stop: new readers are turned
// away, GET /readyz says 503, and every open stream ends between two events,
// with a retry field that spreads the readers' return over some seconds. It
// returns when no stream is left, or with ctx's error. Other requests are still
// served, so commands can be cancelled and the rest be left to
// http.Server.Shutdown, which by itself would wait for the streams for ever.
//
// Readers should see the end of the commands that the program's end cancels:
// close the Service first.
func (s *Server) Drain(ctx context.Context) error {
	s.idle.close()
	err := s.readers.drain(ctx)
	if err == nil {
		s.watch.Close()
	}
	if err == nil && s.limits.streams != nil {
		err = s.limits.streams.Wait(ctx)
	}
	return err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, r: r, method: r.Method, id: requestID(r), addr: s.clientAddr(r), began: time.Now()}
	defer s.finish(x)
	// The response before this one on the same connection may have left its
	// deadline behind.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	x.setCommonHeaders()
	if err := s.serve(x); err != nil {
		s.fail(x, err)
	}
}

// serve brings the request to its route, in the order that gives the least
// away: nothing is read of a body, and nothing looked up, for a caller that is
// not known.
func (s *Server) serve(x *exchange) error {
	if err := s.guard(x.r); err != nil {
		return err
	}
	path, mounted := strings.CutPrefix(x.r.URL.Path, s.cfg.BasePath)
	if !mounted || !strings.HasPrefix(path, "/") {
		return errNoRoute
	}
	if s.cors(x, path) {
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
	if !s.match(x, x.r.Method, path) {
		return s.noRoute(x, path)
	}
	if err := x.refuseBody(); err != nil {
		return err
	}
	if x.route.scope != "" {
		if err := s.authenticate(x); err != nil {
			return err
		}
		x.r = x.r.WithContext(rdev.WithRequestID(x.r.Context(), x.id))
	}
	return x.route.handle(s, x)
}
