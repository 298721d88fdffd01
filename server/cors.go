package server

import (
	"net/http"
	"slices"
	"strings"
)

// What a page of an allowed origin may send and see. Last-Event-ID needs to be
// there: an id holds a colon, which makes a browser ask first when it
// reconnects.
const (
	corsRequestHeaders  = "Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, Tracestate, X-Request-Id"
	corsResponseHeaders = "Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Rdev-Key-Expires, Rdev-Resume, Retry-After, X-Request-Id"
	corsMaxAge          = "7200" // seconds, the most that Chromium takes
)

// cors sets the headers for a page of an allowed origin and reports whether
// the request is its preflight. Credentials are never allowed: there is
// nothing in a browser that it would send by itself.
func (s *Server) cors(x *exchange, path string) (preflight bool) {
	if len(s.cfg.AllowedOrigins) == 0 {
		return false
	}
	h := x.Header()
	h.Add("Vary", "Origin")
	origins := x.r.Header.Values("Origin")
	if len(origins) != 1 || !slices.Contains(s.cfg.AllowedOrigins, origins[0]) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsResponseHeaders)
		return false
	}
	methods := s.allowed(path)
	if len(methods) == 0 {
		return false
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	return true
}
