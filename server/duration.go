package server

import (
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A duration is a span of time in a request, not negative: a number of seconds
// (30, 0.5) or a string as Go writes durations ("30s", "1h30m").
type duration time.Duration

// A durationError says what is wrong with one.
type durationError struct{ problem string }

func (e *durationError) Error() string { return e.problem }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (d *duration) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '"':
		var text string
		if err := json.UnmarshalDecode(dec, &text); err != nil {
			return err
		}
		parsed, err := time.ParseDuration(text)
		if err != nil {
			return &durationError{`is not a duration such as "30s" or "1h30m"`}
		}
		*d = duration(parsed)
	case '0':
		var seconds float64
		if err := json.UnmarshalDecode(dec, &seconds); err != nil {
			return err
		}
		if math.Abs(seconds) > math.MaxInt64/float64(time.Second)/2 {
			return &durationError{"is too large"}
		}
		*d = duration(math.Round(seconds * float64(time.Second)))
	default:
		if err := dec.SkipValue(); err != nil {
			return err
		}
		return &durationError{`is neither a number of seconds nor a string such as "30s"`}
	}
	if *d < 0 {
		return &durationError{"is negative"}
	}
	return nil
}
