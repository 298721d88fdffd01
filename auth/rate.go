package auth

import (
	"errors"
	"fmt"
	"time"
)

// A Rate is how often something may happen: Requests in Per on average, and
// Burst at once after a pause that was long enough. The zero Rate is no limit.
//
// It is kept by GCRA: each request moves the time at which the burst would be
// whole again one Interval on, and is refused if that would be more than Burst
// intervals away. So in any time t there are at most Burst + t/Interval.
type Rate struct {
	Requests int           // at least 1
	Per      time.Duration // above zero
	Burst    int           // at least 1
}

// PerMinute returns the Rate of n a minute with a burst of as many; the zero
// Rate for 0.
func PerMinute(n int) Rate {
	if n == 0 {
		return Rate{}
	}
	return Rate{Requests: n, Per: time.Minute, Burst: n}
}

// Limits reports whether r is a limit.
func (r Rate) Limits() bool { return r != Rate{} }

// Interval is the time between two requests at an even pace, in whole
// microseconds, rounded up.
func (r Rate) Interval() time.Duration {
	return (r.Per/time.Duration(r.Requests) + time.Microsecond - 1).Truncate(time.Microsecond)
}

// Validate reports a Rate that nothing can have.
func (r Rate) Validate() error {
	switch {
	case !r.Limits():
		return nil
	case r.Requests < 1, r.Burst < 1, r.Per <= 0:
		return fmt.Errorf("auth: a rate of %d in %v with a burst of %d is none", r.Requests, r.Per, r.Burst)
	case r.Per/time.Duration(r.Requests) < time.Microsecond:
		return errors.New("auth: a rate is above one in a microsecond")
	}
	return nil
}

// Take takes up to n at now out of what is left: full is when the burst would be
// whole, the zero time at first, and as it is then afterwards.
func (r Rate) Take(full, now time.Time, n int) (time.Time, Taken) {
	if full.Before(now) {
		full = now
	}
	n = max(min(n, r.left(full.Sub(now))), 0)
	full = full.Add(time.Duration(n) * r.Interval())
	return full, r.Taken(n, full.Sub(now))
}

// left is how many there are if the burst is whole after that time.
func (r Rate) left(whole time.Duration) int {
	return int((time.Duration(r.Burst)*r.Interval() - whole) / r.Interval())
}

// Taken describes what is left if n were taken and the burst is whole after that
// time. It is for implementations of LimitStore.
func (r Rate) Taken(n int, whole time.Duration) Taken {
	whole = max(whole, 0)
	t := Taken{N: n, Left: max(r.left(whole), 0), Whole: whole}
	if t.Left == 0 {
		t.Next = whole - time.Duration(r.Burst-1)*r.Interval()
	}
	return t
}

// Taken is the outcome of a LimitStore's Take.
type Taken struct {
	N     int           // how many were taken
	Left  int           // how many could be taken now
	Whole time.Duration // until Left is the whole burst
	Next  time.Duration // until one can be taken, if none is left
}
