package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// keyExpiresHeader says when the caller's key expires, if that is soon.
const keyExpiresHeader = "Rdev-Key-Expires"

// authenticate finds the caller, and refuses one whose key lacks the route's
// scope before it can learn what is wrong with its request. What else a key
// may do is the Service's to check.
func (s *Server) authenticate(x *exchange) error {
	key, presented := bearer(x.r)
	if !presented {
		return auth.ErrUnauthenticated
	}
	caller, err := s.authn.Authenticate(x.r.Context(), key, x.addr)
	if err != nil {
		x.reason = auth.ReasonOf(err)
		return s.failLogin(x, err)
	}
	x.caller = caller
	if end := caller.ExpiresAt; !end.IsZero() && time.Until(end) <= s.cfg.KeyExpiryWarning {
		x.Header().Set(keyExpiresHeader, end.UTC().Format(time.RFC3339))
	}
	s.startSpan(x)
	if err := s.takeRequest(x); err != nil {
		return err
	}
	if !caller.Can(x.route.scope) {
		return lacksScope(x.route.scope)
	}
	return nil
}

// bearer returns the key of the Authorization header. A key is taken from
// nowhere else: URLs end up in logs, and a browser sends cookies unasked. Two
// headers are refused, because a proxy may have looked at the other one.
func bearer(r *http.Request) (key string, presented bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" || strings.ContainsAny(key, " ,\t") {
		return "", false
	}
	return key, true
}

func lacksScope(scope auth.Scope) error {
	return &apiError{
		code:    rdev.CodeForbidden,
		message: "the key lacks the scope " + string(scope),
		details: scopeDetails{Scope: scope},
	}
}
