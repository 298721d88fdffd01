package auth

import "errors"

// ErrUnauthenticated: the presented key is not one that works. Whoever
// presented it is told no more than that.
var ErrUnauthenticated = errors.New("auth: unauthenticated")

// A Reason says why a key was refused. It is for metrics and the log of the
// operator, never for the caller.
type Reason string

// The reasons.
const (
	ReasonMalformed   Reason = "malformed"    // not a key at all
	ReasonUnknown     Reason = "unknown"      // no key has this id
	ReasonWrongSecret Reason = "wrong_secret" // the key has another secret
	ReasonRevoked     Reason = "revoked"
	ReasonExpired     Reason = "expired"
	ReasonAddress     Reason = "address" // the key does not work from there
	ReasonPepper      Reason = "pepper"  // the key was hashed with one that is not configured
)

// ReasonOf returns why Authenticate refused, "" if err is no refusal.
func ReasonOf(err error) Reason {
	var r *refusal
	if !errors.As(err, &r) {
		return ""
	}
	return r.reason
}

// refusal is the error of every refused key. Its text does not hold the reason,
// so that printing it to the caller gives nothing away.
type refusal struct{ reason Reason }

func (*refusal) Error() string { return ErrUnauthenticated.Error() }

// Unwrap returns ErrUnauthenticated.
func (*refusal) Unwrap() error { return ErrUnauthenticated }
