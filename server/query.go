package server

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"

	"github.com/orchard9/rdev/rdev"
)

// query returns the parameters of the URL. One that the route does not have is
// refused, so that a misspelled filter, or a key in the URL, is not taken for
// nothing; each but the repeated ones may be there once.
func (x *exchange) query(known ...string) (url.Values, error) {
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "is not well-formed")
	}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, invalid(clip(name), "is not a parameter of this route")
		case len(all) > 1 && name != stateParam:
			return nil, invalid(name, "is there twice")
		}
	}
	return values, nil
}

// stateParam is the parameter that may be repeated.
const stateParam = "state"

// page returns where a page of a list begins, and its size; zero for the
// default.
func page(values url.Values) (after string, limit int, err error) {
	if text := values.Get("limit"); values.Has("limit") {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > rdev.MaxPage {
			return "", 0, invalid("limit", "is not a number between 1 and "+strconv.Itoa(rdev.MaxPage))
		}
	}
	if values.Has("cursor") {
		if after, err = parseCursor(values.Get("cursor")); err != nil {
			return "", 0, err
		}
	}
	return after, limit, nil
}

// A cursor is the id of the last item of the page before. It is encoded so
// that nobody builds on that.
func formatCursor(id string) string {
	if id == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(id))
}

func parseCursor(cursor string) (id string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) == 0 || len(b) > 64 {
		return "", invalid("cursor", "is not one of this list")
	}
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return "", invalid("cursor", "is not one of this list")
		}
	}
	return string(b), nil
}
