package server

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/rdev"
)

// The limits that a Server holds, besides those of its Service.
const (
	LimitRequests     rdev.Limit = "requests"      // requests of a key
	LimitFailedLogins rdev.Limit = "failed_logins" // keys that do not work, from one address
	LimitStreams      rdev.Limit = "streams"       // open streams of a key
)

// limits are what a Server holds callers to. Each is nil without one.
type limits struct {
	requests *auth.RateLimiter
	logins   *auth.Failures
	streams  *auth.Seats
}

func newLimits(cfg Config) limits {
	var l limits
	if cfg.Requests.Limits() {
		l.requests = auth.NewRateLimiter(cfg.LimitStore, cfg.Requests)
	}
	if cfg.FailedLogins.Limits() {
		l.logins = auth.NewFailures(cfg.FailedLogins)
	}
	if cfg.StreamsPerKey > 0 {
		l.streams = auth.NewSeats(auth.SeatsConfig{
			Store: cfg.LimitStore, Most: cfg.StreamsPerKey,
			OnError: func(err error) { cfg.Log.Error().Err(err).Msg("in the background") },
		})
	}
	return l
}

// limitDetails are the details of an answer with status 429.
type limitDetails struct {
	Limit rdev.Limit `json:"limit"`
	Max   int        `json:"max,omitzero"`
}

// takeRequest takes one request of the caller's, and tells it what it has left.
// The admin key has no limit: it is the way in when others are at theirs.
func (s *Server) takeRequest(x *exchange) error {
	l := s.limits.requests
	if l == nil || x.caller.Admin {
		return nil
	}
	a, err := l.Allow(x.r.Context(), x.caller.KeyID)
	if err != nil {
		return err
	}
	rate := l.Rate()
	h := x.Header()
	// draft-ietf-httpapi-ratelimit-headers-11: a burst is whole after the
	// window.
	h.Set("RateLimit-Policy", `"`+string(LimitRequests)+`";q=`+strconv.Itoa(rate.Burst)+`;w=`+seconds(time.Duration(rate.Burst)*rate.Interval()))
	reset := a.Whole
	if !a.OK {
		reset = a.RetryAfter
	}
	h.Set("RateLimit", `"`+string(LimitRequests)+`";r=`+strconv.Itoa(a.Left)+`;t=`+seconds(reset))
	if a.OK {
		return nil
	}
	return &apiError{
		code: rdev.CodeRateLimited, retry: a.RetryAfter, details: limitDetails{LimitRequests, rate.Burst},
		message: "the key has used up its requests: wait as Retry-After says",
	}
}

// failLogin counts a key that does not work, and returns what the caller is
// told: err, or to come back later. A key that works is never asked about here.
func (s *Server) failLogin(x *exchange, err error) error {
	l := s.limits.logins
	if l == nil || !errors.Is(err, auth.ErrUnauthenticated) {
		return err
	}
	retry, over := l.Fail(x.addr)
	if !over {
		return err
	}
	return &apiError{
		code: rdev.CodeRateLimited, retry: retry, details: limitDetails{Limit: LimitFailedLogins},
		message: "too many keys from this address did not work: wait as Retry-After says",
	}
}

// takeStream takes one of the streams that the caller may have open.
func (s *Server) takeStream(x *exchange) (release func(), err error) {
	l := s.limits.streams
	if l == nil || x.caller.Admin {
		return func() {}, nil
	}
	release, err = l.Take(x.r.Context(), x.caller.KeyID)
	if errors.Is(err, auth.ErrNoSeat) {
		err = &apiError{
			code: rdev.CodeTooManyStreams, details: limitDetails{LimitStreams, l.Most()},
			message: "the key has as many streams open as it may (" + strconv.Itoa(l.Most()) + "): close one",
		}
	}
	return release, err
}

// limitOf returns the limit that an error is about, if any.
func limitOf(err error) rdev.Limit {
	if err == nil {
		return ""
	}
	e, _ := describe(err)
	details, _ := e.details.(limitDetails)
	return details.Limit
}

// seconds rounds up to whole seconds.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(max(d, 0).Seconds())), 10)
}

// retryIn returns the value of Retry-After: up to a tenth more than needed, so
// that those who were refused together do not come back together.
func retryIn(d time.Duration) string {
	return seconds(d + time.Duration(rand.Float64()*float64(d)/10))
}
