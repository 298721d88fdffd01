package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/orchard9/rdev/server/metrics"
)

// serveMetrics answers GET /metrics on an address of its own, until stop is
// called. It asks for no key and names projects, so it is not on the address
// where callers are. Without an address there is none.
func serveMetrics(ctx context.Context, addr string, m *metrics.Metrics, log *zerolog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	listener, err := listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("metrics")
		}
	}()
	log.Info().Stringer("addr", listener.Addr()).Msg("metrics at /metrics")
	return func() { _ = web.Close(); <-done }, nil
}
